import { connect } from 'node:net';
import { nodeCrypto } from '@sallyport/channel/node';
import { beginProviderSignIn, type PendingSignIn } from '@sallyport/device';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { signInByBrowser } from '../src/provider-login.ts';

const PROVIDER = {
  directory: 'idp',
  issuer: 'https://idp.example',
  authorizationEndpoint: 'https://idp.example/auth',
  clientId: 'c',
  scope: 'openid',
};

/** A sign-in that waits for the browser: where it listens, what it began, and how it ends. */
async function waiting() {
  let begun: ((of: { redirect: string; pending: PendingSignIn }) => void) | undefined;
  const started = new Promise<{ redirect: string; pending: PendingSignIn }>((resolve) => {
    begun = resolve;
  });
  const ended = signInByBrowser((redirect) => {
    const { url, pending } = beginProviderSignIn(nodeCrypto(), { ...PROVIDER, redirects: [redirect] }, redirect);
    begun!({ redirect, pending });
    return { url, pending };
  });
  ended.catch(() => undefined);
  return { ...(await started), ended };
}

/** Sends bytes to a port and waits until the other side has answered or closed. */
function send(port: number, bytes: Uint8Array | string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
  });
}

const target = fc.oneof(
  fc.webPath(),
  fc.webUrl({ withQueryParameters: true }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.webQueryParameters().map((query) => `/?${query}`),
  fc.constantFrom('*', '//', '/?state=', '/?code=x&state=y', '/?error=access_denied', 'http://[', '/?%', 'localhost:1'),
);
const method = fc.constantFrom('GET', 'HEAD', 'POST', 'CONNECT', 'OPTIONS', 'PRI', 'TRACE');
const field = fc.constantFrom(
  '',
  'connection: upgrade\r\nupgrade: websocket\r\n',
  'expect: 100-continue\r\n',
  'content-length: 9\r\n',
);
const request = fc.oneof(
  fc.tuple(method, target, field).map(([verb, url, more]) => `${verb} ${url} HTTP/1.1\r\nhost: x\r\n${more}\r\n`),
  fc.uint8Array({ maxLength: 200 }),
);

test('a sign-in in the browser survives whatever any program sends to its port', async () => {
  const { redirect, pending, ended } = await waiting();
  const port = Number(new URL(redirect).port);
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed} (repeat with SEED=${seed})`);
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 4 }), async (requests) => {
      for (const bytes of requests) await send(port, bytes);
    }),
    { seed, numRuns: 100 },
  );
  const answer = new URLSearchParams({ state: pending.state, iss: PROVIDER.issuer, code: 'the code' });
  const page = await fetch(`${redirect}?${answer}`);
  expect(await page.text()).toContain('You can close this window');
  expect((await ended).oidc).toMatchObject({ directory: 'idp', code: 'the code', issuer: PROVIDER.issuer });
});

test('a refusal of the provider, which names this very sign-in, ends it', async () => {
  const { redirect, pending, ended } = await waiting();
  await (await fetch(`${redirect}?${new URLSearchParams({ state: pending.state, error: 'access_denied' })}`)).text();
  await expect(ended).rejects.toMatchObject({ code: 'SIGN_IN_FAILED' });
});
