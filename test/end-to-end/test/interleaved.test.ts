import { memoryStorage } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { waitFor } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway } from '../src/gateway.ts';

const USERS = 1_000;
const ROUNDS = 5;
const backend = await startBackend();
const gateway = await Gateway.start({
  proxies: 2,
  settings: { loginNeedsPassword: false },
  // A machine that is busy with a thousand users answers beats late: nothing here is about the end of a lease.
  environment: { SALLYPORT_LEASE_MS: '60000' },
});
await gateway.addResource('wiki', 'wiki.corp', backend.url);
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

async function inBatches<T, R>(items: readonly T[], size: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += size)
    results.push(...(await Promise.all(items.slice(at, at + size).map(work))));
  return results;
}

/** What a Proxy, Security and its database say before anything has run when they cannot keep up. */
const BUSY = new Set(['CALM_DOWN', 'BUSY', 'RETRY_LATER', 'UNAVAILABLE', 'OFFLINE', 'ERR_STORE_UNAVAILABLE']);

/** Whoever cannot keep up answers when asked again a moment later. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!BUSY.has((error as { code?: string }).code ?? '')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * Math.random()));
    }
  }
}

test(`${USERS} users at once: each sees its own echo and its own name, and nothing of anybody else`, async () => {
  const names = Array.from({ length: USERS }, (_, i) => `user-${i}`);
  // Each new user takes the realm's lock: few at once wait less for it, on a machine that runs other tests beside.
  await inBatches(names, 8, (name) => patiently(() => gateway.addUser(name)));
  const devices = await inBatches(names, 32, (name) =>
    patiently(async () => {
      const storage = memoryStorage();
      return { name, storage, device: await gateway.device(name, storage) };
    }),
  );
  const wrong: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(
      devices.map(async ({ name, device }) => {
        const mine = `${name}/${round}/${'x'.repeat((round * 997) % 3_000)}`;
        const post = { method: 'POST', body: mine };
        const echo = await (await patiently(() => device.fetch('http://wiki.corp/echo', post))).text();
        if (echo !== mine) wrong.push(`${name} got another echo`);
        const answer = await patiently(() => device.fetch('http://wiki.corp/headers'));
        const headers = (await answer.json()) as Record<string, string>;
        const claims = JSON.parse(Buffer.from(headers['sallyport-assertion']!.split('.')[1]!, 'base64url').toString());
        if (claims.name !== name) wrong.push(`${name} was presented as ${claims.name}`);
      }),
    );
  }
  expect(wrong).toEqual([]);
  // Where Proxies are changes while all of them are connected: each is told, by whichever Proxy it is with.
  const known = async (): Promise<number[]> =>
    Promise.all(devices.map(async ({ storage }) => (await storage.load())?.siteMapSeq ?? 0));
  const before = Math.max(...(await known()));
  await gateway.operator.call(api.sites.put, {
    params: { name: 'here' },
    body: { origins: gateway.origins.toReversed() },
  });
  await waitFor(async () => Math.min(...(await known())) > before, 'every device knows of the new site map');
  for (const { device } of devices) device.close();
}, 600_000);
