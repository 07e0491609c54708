import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Field } from '@sallyport/channel';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import type { BackendRequest, BackendSink } from '../src/backend/connection.ts';
import { loginStep } from '../src/backend/connection-login.ts';
import type { BackendError } from '../src/backend/errors.ts';
import { BackendPool } from '../src/backend/pool.ts';
import type { PooledCall } from '../src/backend/pooled-call.ts';
import { Tenant } from '../src/backend/tenant.ts';

const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Stand {
  /** What it answers to who is not signed in. */
  readonly challenge?: string;
  /** How long it takes, ms. */
  readonly delayMs?: () => number;
}

/**
 * A backend that signs the connection in, as IIS does by default: once a request on it carried a last message
 * (`… last-<user>`, or an NTLM message of type 3), all requests of that connection are that user's.
 */
async function binding({ challenge = 'NTLM', delayMs = () => 0 }: Stand = {}) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let user = '';
    let challenged = false;
    let text = '';
    let turn = Promise.resolve();
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    const serve = async (head: string): Promise<void> => {
      const token = /^authorization: .*?(?:ntlm|negotiate) (\S+)/im.exec(head)?.[1];
      const last = token?.startsWith('last-') ? token.slice(5) : token?.startsWith('TlRMTVNTUAAD') ? 'ada' : undefined;
      if (last !== undefined && challenged) user = last;
      if (token !== undefined && last === undefined) challenged = true;
      await sleep(delayMs());
      const answer = user === '' ? `401 Unauthorised\r\nwww-authenticate: ${challenge}` : '200 OK';
      const body = `you are ${user || 'nobody'}`;
      socket.write(`HTTP/1.1 ${answer}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    };
    socket.on('data', (data) => {
      text += String(data);
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        turn = turn.then(() => serve(head));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pool = new BackendPool({ url, networks: ['127.0.0.0/8'] });
  closing.push(() => {
    pool.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { pool, sockets };
}

const channel = (user: string, session = user): Tenant => new Tenant({ session, user });

/** Asks and gives what the backend says of who it is. */
function ask(pool: BackendPool, tenant: Tenant, authorization?: string, method = 'GET'): Promise<string> {
  const fields: Field[] = authorization === undefined ? [] : [['authorization', authorization]];
  const request: BackendRequest = {
    method,
    path: '/',
    authority: 'iis.corp',
    fields,
    content: 'none',
    last: false,
  };
  return new Promise((resolve) => {
    let text = '';
    const sink: BackendSink = {
      connected: () => true,
      begun() {},
      room() {},
      pushed() {},
      head() {},
      body(bytes) {
        text += Buffer.from(bytes).toString();
      },
      end: () => resolve(text),
      failed: ({ code }: BackendError) => resolve(code),
    };
    const call: PooledCall = pool.call(request, sink, tenant);
    call.send();
  });
}

test.each([
  ['NTLM', 'NTLM'],
  ['Negotiate', 'Negotiate'],
  ['ntlm', 'Basic realm="a", ntlm'],
  ['NEGOTIATE', 'Bearer, NEGOTIATE, Basic realm="x"'],
])('who signed a connection in by %s is alone on it', async (scheme, challenge) => {
  const { pool } = await binding({ challenge });
  const [ada, bob] = [channel('ada'), channel('bob')];
  expect(await ask(pool, ada, `${scheme} first`)).toBe('you are nobody');
  expect(await ask(pool, bob)).toBe('you are nobody');
  expect(await ask(pool, ada, `${scheme} last-ada`)).toBe('you are ada');
  expect(await ask(pool, bob)).toBe('you are nobody');
  for (let i = 0; i < 5; i++) expect(await ask(pool, ada)).toBe('you are ada');
  expect(await ask(pool, channel('ada', 'ada'))).toBe('you are nobody');
  expect(await ask(pool, channel('carl'))).toBe('you are nobody');
});

test.each([
  ['HEAD', '200 OK'],
  ['GET', '304 Not Modified'],
])('content behind an answer to %s with %s that cannot have any is nobody’s answer', async (method, status) => {
  const forged = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (!String(data).includes('x-first'))
        return void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue');
      socket.write(`HTTP/1.1 ${status}\r\ncontent-length: ${forged.length}\r\n\r\n`);
      // What it should not send comes when the connection may have somebody else's request on it.
      setTimeout(() => socket.destroyed || socket.write(forged), 50);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pool = new BackendPool({ url, networks: ['127.0.0.0/8'] });
  closing.push(() => {
    pool.close();
    server.close();
  });
  expect(await ask(pool, channel('ada'), 'x-first', method)).toBe('');
  for (let i = 0; i < 20; i++) {
    expect(await ask(pool, channel('bob'))).toBe('true');
    await sleep(5);
  }
});

test('requests that come at once after a login all go over the connection that is signed in', async () => {
  const { pool } = await binding({ delayMs: () => 2 });
  const ada = channel('ada');
  await ask(pool, ada, 'NTLM first');
  await ask(pool, ada, 'NTLM last-ada');
  const all = await Promise.all(Array.from({ length: 20 }, () => ask(pool, ada)));
  expect(new Set(all)).toEqual(new Set(['you are ada']));
});

test('a connection that was asked to sign in is given to nobody else, before anything was sent over it', async () => {
  const { pool, sockets } = await binding();
  await ask(pool, channel('ada'));
  await ask(pool, channel('bob'));
  expect(sockets.size).toBe(2);
});

test('what is signed in for a channel ends with it', async () => {
  const { pool, sockets } = await binding();
  const ada = channel('ada');
  await ask(pool, ada, 'NTLM first');
  await ask(pool, ada, 'NTLM last-ada');
  expect(sockets.size).toBe(1);
  ada.end();
  for (let i = 0; i < 18_000 && sockets.size > 0; i++) await sleep(5);
  expect(sockets.size).toBe(0);
});

test('a second login of the same channel does not come between the messages of the first', async () => {
  const { pool } = await binding({ challenge: 'NTLM TlRMTVNTUAACAAAAAAAAAA==' });
  const ada = channel('ada');
  const first = `NTLM ${Buffer.from('NTLMSSP\0\x01\0\0\0').toString('base64')}`;
  const last = `NTLM ${Buffer.from('NTLMSSP\0\x03\0\0\0').toString('base64')}`;
  await ask(pool, ada, first);
  // It waits for the end of the first login, as does a request without a login.
  const other = ask(pool, ada, first);
  const plain = ask(pool, ada);
  expect(await ask(pool, ada, last)).toBe('you are ada');
  expect([await plain, await other]).toEqual(['you are ada', 'you are ada']);
});

test('which message of a login a request carries', () => {
  const step = (value: string): string => loginStep([['authorization', value]]);
  expect(step('Basic bnRsbTpuZWdvdGlhdGU=')).toBe('none');
  expect(step('Bearer abc.def')).toBe('none');
  expect(step(`NTLM ${Buffer.from('NTLMSSP\0\x01\0\0\0').toString('base64')}`)).toBe('first');
  expect(step(`Negotiate ${Buffer.from('NTLMSSP\0\x03\0\0\0').toString('base64')}`)).toBe('later');
  expect(
    step(`negotiate ${Buffer.from('\x60\x82\x01\x02\x06\x06\x2b\x06\x01\x05\x05\x02', 'latin1').toString('base64')}`),
  ).toBe('first');
  expect(
    step(`Negotiate ${Buffer.from('\xa1\x82\x01\x02\x06\x06\x2b\x06\x01\x05\x05\x02', 'latin1').toString('base64')}`),
  ).toBe('later');
  expect(step('Negotiate')).toBe('either');
  expect(step('NTLM first')).toBe('either');
});

test(`whatever the order and the haste, nobody is ever answered as somebody else (seed ${seed})`, async () => {
  const users = ['ada', 'bob', 'carl'];
  const act = fc.tuple(fc.constantFrom(...users), fc.constantFrom('plain', 'first', 'last', 'pause'));
  let signedIn = 0;
  const run = fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 40 }), async (acts) => {
    const { pool } = await binding({ delayMs: () => Math.floor(Math.random() * 3) });
    const tenants = new Map(users.map((user) => [user, channel(user)]));
    // One that certainly signs in, so that the rest is held against something.
    await ask(pool, tenants.get('ada')!, 'NTLM first');
    if ((await ask(pool, tenants.get('ada')!, 'NTLM last-ada')) === 'you are ada') signedIn += 1;
    const answers: Promise<void>[] = [];
    for (const [user, what] of acts) {
      if (what === 'pause') {
        await sleep(2);
        continue;
      }
      const message = what === 'plain' ? undefined : `NTLM ${what === 'last' ? `last-${user}` : 'first'}`;
      answers.push(
        ask(pool, tenants.get(user)!, message).then((text) => {
          if (text === `you are ${user}`) signedIn += 1;
          expect(['you are nobody', `you are ${user}`]).toContain(text);
        }),
      );
    }
    await Promise.all(answers);
    for (const close of closing.splice(0)) close();
  });
  await fc.assert(run, { seed, numRuns: 8 });
  expect(signedIn).toBeGreaterThanOrEqual(8);
});
