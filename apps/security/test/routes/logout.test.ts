import { createServer } from 'node:https';
import { putDirectory } from '@sallyport/access';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterEach, expect, test, vi } from 'vitest';
import { createDirectoryService } from '../../src/app.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'test' };
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A provider that publishes its metadata and keys, counts who asks, and can be out of order. */
async function provider() {
  const made = await scene();
  const { context } = made;
  const { certificate, key } = await context.keys.ca.issueServer(['127.0.0.1'], Date.now());
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' };
  const asked = { count: 0, works: true };
  const server = createServer({ cert: certificate, key }, (request, response) => {
    asked.count += 1;
    if (!asked.works) return void response.writeHead(500).end();
    const keys = { keys: [jwk] };
    const metadata = { issuer, jwks_uri: `${issuer}/keys`, authorization_endpoint: `${issuer}/auth` };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(request.url === '/keys' ? keys : metadata));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `https://127.0.0.1:${(server.address() as { port: number }).port}`;
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const settings = { issuer, clientId: 'c', redirects: ['app:/x'], ca: context.keys.ca.certificate };
  await putDirectory(context.access, 'idp', { kind: 'oidc', stage: 'active', settings }, BY);
  const service = createDirectoryService(context, await context.keys.ca.issueServer(['localhost'], Date.now()));
  const claims = (jti: string, over: object = {}) => ({ events: { [EVENT]: {} }, sub: 'nobody', jti, ...over });
  const sign = (payload: object, by = privateKey) =>
    new SignJWT(payload as Record<string, unknown>)
      .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'logout+jwt' })
      .setIssuer(issuer)
      .setAudience('c')
      .setIssuedAt()
      .sign(by);
  const post = async (token: string, name = 'idp'): Promise<number> => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const url = `/oidc/${name}/backchannel-logout`;
    return (await service.inject({ method: 'POST', url, headers, payload: `logout_token=${token}` })).statusCode;
  };
  return { ...made, asked, claims, sign, post };
}

test('whatever strangers send from its address, a provider logs a hundred people out at once', async () => {
  const { claims, sign, post } = await provider();
  const { privateKey: other } = await generateKeyPair('ES256');
  const forged = await sign(claims('forged'), other);
  const junk = ['', 'a.b.c', 'x'.repeat(100_000), forged];
  const refused = await Promise.all(Array.from({ length: 400 }, (_, i) => post(junk[i % junk.length]!)));
  expect(new Set(refused)).toEqual(new Set([400]));
  const tokens = await Promise.all(Array.from({ length: 100 }, (_, i) => sign(claims(`real ${i}`))));
  const flood = Array.from({ length: 400 }, () => post(forged));
  expect(new Set(await Promise.all(tokens.map((token) => post(token))))).toEqual(new Set([200]));
  await Promise.all(flood);
});

test('made-up logout tokens cost neither the database nor the provider anything', async () => {
  const { context, asked, claims, sign, post } = await provider();
  expect(await post(await sign(claims('first')))).toBe(200);
  const [{ count }, transactions] = [{ ...asked }, vi.spyOn(context.access.store, 'transaction')];
  const { privateKey: other } = await generateKeyPair('ES256');
  const foreign = await sign(claims('foreign', { iss: 'https://else.invalid' }), other);
  for (const token of ['', 'a.b.c', foreign, await sign(claims('forged'), other)])
    for (let i = 0; i < 50; i++) expect(await post(token)).toBe(400);
  for (let i = 0; i < 50; i++) expect(await post('a.b.c', `made-up-${i}`)).toBe(404);
  expect(transactions).not.toHaveBeenCalled();
  expect(asked.count).toBe(count);
});

test('a provider that is out of order is not asked for every token that somebody sends', async () => {
  const { asked, claims, sign, post } = await provider();
  asked.works = false;
  const { privateKey: other } = await generateKeyPair('ES256');
  const forged = await sign(claims('forged'), other);
  expect(new Set(await Promise.all(Array.from({ length: 200 }, () => post(forged))))).toEqual(new Set([503]));
  expect(asked.count).toBeLessThan(20);
});
