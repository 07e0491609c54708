import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import * as api from '@sallyport/security-api/admin';
import { join, type ProxyIdentity, renew } from '@sallyport/security-client';
import { Agent, request } from 'undici';
import { afterAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Gateway } from '../src/gateway.ts';

const gateway = await Gateway.start();
afterAll(() => gateway.stop());

async function invite(name: string, more: object = {}): Promise<string> {
  const { token } = await gateway.operator.call(api.proxies.invite, { body: { name, site: 'here', ...more } });
  return token as string;
}

/** What Security answers to whoever shows this certificate. */
async function statusFor({ urls, ca, certificate, key }: ProxyIdentity): Promise<number> {
  const dispatcher = new Agent({ connect: { ca, cert: certificate, key } });
  const { statusCode, body } = await request(`${urls[0]}/v1/site-map`, { dispatcher });
  await body.dump();
  await dispatcher.close();
  return statusCode;
}

/** Beats once with a certificate; gives what came of it. */
async function beat({ urls, ca, certificate, key }: ProxyIdentity): Promise<string> {
  const socket = new WebSocket(`${urls[0]!.replace('https', 'wss')}/v1/control`, { ca, cert: certificate, key });
  const said = await new Promise<string>((resolve) => {
    const fresh = { type: 'beat', id: 1, instance: '1'.repeat(32), seen: 0, hash: '', done: 0, channels: 0 };
    socket.on('open', () => socket.send(JSON.stringify(fresh)));
    socket.on('message', (data) => resolve(JSON.parse(String(data)).type));
    socket.on('close', (_code, reason) => resolve(String(reason)));
    socket.on('error', () => resolve('refused'));
  });
  socket.terminate();
  return said;
}

const refused = (promise: Promise<unknown>) => expect(promise).rejects.toMatchObject({ code: 'ERR_SECURITY_REFUSED' });

test('a stolen certificate stays dead when a Proxy of its name joins anew', async () => {
  const stolen = await join(await invite('p7'));
  expect(await statusFor(stolen)).toBe(200);
  await gateway.operator.call(api.proxies.revoke, { params: { name: 'p7' } });
  const anew = await join(await invite('p7'));
  expect(await statusFor(anew)).toBe(200);
  expect(await statusFor(stolen)).toBe(403);
  await refused(renew(stolen));
  expect(await beat(stolen)).toBe('refused');
  expect(await beat(anew)).toBe('lease');
});

test('a renewed key takes over with its first beat, and the one before renews nothing', async () => {
  const before = await join(await invite('p8'));
  const lost = await renew(before);
  const after = await renew(before);
  for (const identity of [before, after]) expect(await statusFor(identity)).toBe(200);
  expect(await beat(after)).toBe('lease');
  for (const identity of [before, lost]) {
    await expect.poll(() => statusFor(identity)).toBe(403);
    await refused(renew(identity));
  }
  expect(await statusFor(after)).toBe(200);
});

test('a join for a live name has to say so, and no token moves a site silently', async () => {
  const first = await join(await invite('p9'));
  const raw = (more: object) =>
    gateway.operator.raw('POST', '/v1/join-tokens', { name: 'p9', site: 'here', ...more }).then(({ status }) => status);
  expect(await raw({})).toBe(409);
  expect(await raw({ replace: true, site: 'there' })).toBe(409);
  const second = await join(await invite('p9', { replace: true, site: 'there', moveSite: true }));
  expect(second.site).toBe('there');
  await expect.poll(() => statusFor(first)).toBe(403);
  expect(await statusFor(second)).toBe(200);
});

test('the running Proxy goes on with its identity after all this', async () => {
  const file = joinPath(gateway.folder, 'p1', 'identity.json');
  expect(await statusFor(JSON.parse(readFileSync(file, 'utf8')))).toBe(200);
  await gateway.live(1);
});
