import { randomBytes } from 'node:crypto';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import type { FrameLocator, Page } from 'playwright-core';
import { type Application, expectSeen } from '../application.ts';
import { run } from '../command.ts';
import { serve } from '../serve.ts';

function cookiesOf(request: IncomingMessage): Map<string, string> {
  const pairs = (request.headers.cookie ?? '').split('; ').map((pair) => pair.split('=') as [string, string]);
  return new Map(pairs);
}

const FORM = `<!doctype html><title>Sign in</title>
<form method="post" action="/login"><input name="user"><button>Sign in</button></form>`;

/** Signs in by cookies that a browser keeps only over https: `Secure`, and with the prefix `__Host-` (RFC 6265bis). */
function secureCookies(): RequestListener {
  const users = new Map<string, string>();
  return (request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (data) => {
        body += data;
      });
      request.on('end', () => {
        const sid = randomBytes(8).toString('hex');
        users.set(sid, new URLSearchParams(body).get('user') ?? '');
        const cookies = [`__Host-sid=${sid}; Secure; HttpOnly; Path=/`, 'theme=dark; Secure; SameSite=Lax'];
        response.writeHead(303, { location: '/', 'set-cookie': cookies }).end();
      });
      return;
    }
    const cookies = cookiesOf(request);
    const user = users.get(cookies.get('__Host-sid') ?? '');
    response.setHeader('content-type', 'text/html');
    if (!user) return void response.end(FORM);
    response.end(`<!doctype html><title>Home</title><p>Welcome ${user}, theme ${cookies.get('theme')}</p>
<p id="secure"></p><script>secure.textContent = 'secure context: ' + isSecureContext</script>`);
  };
}

async function signIn(app: Page | FrameLocator): Promise<string> {
  await app.locator('input[name=user]').fill('ada', { timeout: 60_000 });
  await app.getByRole('button', { name: 'Sign in' }).click();
  await app.getByText('Welcome ada, theme dark').waitFor({ timeout: 30_000 });
  await app.getByText('secure context: true').waitFor({ timeout: 30_000 });
  return 'signed in, in a secure context';
}

/** An application with `Secure` and `__Host-` cookies. */
export const cookies: Application = {
  name: 'portal',
  title: 'Secure cookies',
  short: true,
  start: (place) => serve(place, secureCookies()),
  clients: [
    {
      name: 'Chromium: sign in',
      through: 'forward',
      async use({ laptop, host }) {
        const page = await laptop();
        await page.goto(`https://${host}/`);
        const seen = await signIn(page);
        await page.close();
        return seen;
      },
    },
    { name: 'Chromium: sign in', through: 'phone', use: async ({ phone }) => signIn((await phone()).app) },
  ],
};

/** A Type 2 message with a fixed challenge (MS-NLMP, 2.2.1.2). */
function challenge(): string {
  const message = Buffer.alloc(48);
  message.write('NTLMSSP\0', 'latin1');
  message.writeUInt32LE(2, 8);
  message.writeUInt32LE(48, 16);
  message.writeUInt32LE(0x00008201, 20);
  randomBytes(8).copy(message, 24);
  message.writeUInt32LE(48, 44);
  return message.toString('base64');
}

/** The user name of a Type 3 message (MS-NLMP, 2.2.1.3). */
function userOf(message: Buffer): string {
  const [length, at] = [message.readUInt16LE(36), message.readUInt32LE(40)];
  const unicode = (message.readUInt32LE(60) & 1) === 1;
  return message.subarray(at, at + length).toString(unicode ? 'utf16le' : 'latin1');
}

/** Signs a connection in by three messages, as IIS does. Whoever has another connection is nobody. */
function ntlmOf(users: WeakMap<Socket, string>): RequestListener {
  return (request, response) => {
    const { socket } = request;
    const [, token] = /^NTLM (.+)$/.exec(request.headers.authorization ?? '') ?? [];
    const message = Buffer.from(token ?? '', 'base64');
    if (message.length > 8 && message.readUInt32LE(8) === 3) users.set(socket, userOf(message));
    const user = users.get(socket);
    if (user) return void response.end(`you are ${user}`);
    response.writeHead(401, { 'www-authenticate': token ? `NTLM ${challenge()}` : 'NTLM' }).end();
  };
}

/** What signs its connections in: a stand-in for IIS. */
export const ntlm: Application = {
  name: 'iis',
  title: 'NTLM (stand-in for IIS)',
  short: true,
  start: (place) => serve(place, ntlmOf(new WeakMap())),
  clients: [
    {
      name: 'curl --ntlm',
      through: 'forward',
      async use({ host, proxy }) {
        const signedIn = await run('curl', ['-sS', '-x', proxy, '--ntlm', '-u', 'ada:secret', `http://${host}/`]);
        expectSeen(signedIn === 'you are ada', signedIn);
        return 'ada';
      },
    },
  ],
};

const SLOW_MS = 75_000;

/** A report that takes its time. */
export const slow: Application = {
  name: 'report',
  title: 'An answer after 75 s',
  options: ['--answer-timeout', '2m'],
  start: (place) => serve(place, (_, response) => void setTimeout(() => response.end('the report'), SLOW_MS)),
  clients: [
    {
      name: 'curl',
      through: 'forward',
      async use({ host, proxy }) {
        const seen = await run('curl', ['-sS', '-x', proxy, `http://${host}/`]);
        expectSeen(seen === 'the report', seen);
        return 'the report';
      },
    },
  ],
};
