import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { MAX_SITE_MAP_BYTES, NEXT_ROOT_TYPE, nextRootPayload, type RootJwk, rootThumbprint } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test, vi } from 'vitest';
import { type KnownSiteMap, SiteMapCache, type SiteMapHost } from '../src/serving/site-map.ts';

const [root, other] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
const rootKey = JSON.stringify(root.publicKey.export({ format: 'jwk' }));

function signed(map: object, key: { privateKey: KeyObject; publicKey: KeyObject } = root, more: object = {}) {
  const text = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = { alg: 'EdDSA', typ: 'sallyport-site-map+jwt', jwk: key.publicKey.export({ format: 'jwk' }), ...more };
  const input = `${text(header)}.${text({ realm: 'main', sites: [], ...map })}`;
  return {
    siteMap: `${input}.${sign(null, Buffer.from(input), key.privateKey).toString('base64url')}`,
    rootKey: key === root ? rootKey : JSON.stringify(key.publicKey.export({ format: 'jwk' })),
  };
}

/** A Proxy that gets one answer of Security after the other, and nothing when they are used up. */
function scene(answers: unknown[], kept?: string) {
  const changed: KnownSiteMap[] = [];
  const [refused, failed] = [vi.fn(), vi.fn()];
  const ask = vi.fn(async () => {
    const next = answers.shift();
    if (next === undefined) throw new Error('Security does not answer');
    return next as ReturnType<typeof signed>;
  });
  const host: SiteMapHost = { realm: 'main', ask, kept, refused, failed, changed: (known) => void changed.push(known) };
  return { cache: new SiteMapCache(host), changed, refused, failed, ask };
}

test('a newer map is fetched as soon as it is heard of, and told once', async () => {
  const [old, new_] = [signed({ seq: 1 }), signed({ seq: 2 })];
  const { cache, changed, ask } = scene([old, new_]);
  expect(await cache.get()).toEqual(old);
  cache.heardOf(1);
  cache.heardOf(2);
  cache.heardOf(2);
  await vi.waitFor(() => expect(changed.map(({ seq }) => seq)).toEqual([1, 2]), 90_000);
  expect(ask).toHaveBeenLastCalledWith(2);
  expect(await cache.get()).toEqual(new_);
  expect(ask).toHaveBeenCalledTimes(2);
});

test('a node that still keeps an older map is asked again, until the newer one is there', async () => {
  const { cache, changed, refused } = scene([signed({ seq: 4 }), signed({ seq: 4 }), signed({ seq: 5 })]);
  await cache.get();
  cache.heardOf(5);
  await vi.waitFor(() => expect(changed.map(({ seq }) => seq)).toEqual([4, 5]), 90_000);
  expect(refused).not.toHaveBeenCalled();
});

test('one that is closed fetches nothing by itself, and still asks for whoever wants the map while its Proxy drains', async () => {
  const map = signed({ seq: 1 });
  const { cache, ask } = scene([map]);
  cache.close();
  cache.heardOf(5);
  expect(ask).not.toHaveBeenCalled();
  expect(await cache.get()).toEqual(map);
  expect(ask.mock.calls).toEqual([[undefined]]);
});

/** By which the root key names the next one. */
function naming(next: { publicKey: KeyObject }): string {
  const text = (value: string): string => Buffer.from(value).toString('base64url');
  const thumbprint = rootThumbprint(nodeCrypto(), next.publicKey.export({ format: 'jwk' }) as unknown as RootJwk);
  const header = { alg: 'EdDSA', typ: NEXT_ROOT_TYPE, jwk: root.publicKey.export({ format: 'jwk' }) };
  const input = `${text(JSON.stringify(header))}.${text(nextRootPayload('main', thumbprint))}`;
  return `${input}.${sign(null, Buffer.from(input), root.privateKey).toString('base64url')}`;
}

test('a map by the root key that the known one named is taken, and none by the one before any more', async () => {
  const next = signed({ seq: 8 }, other, { roots: [naming(other)] });
  const { cache, refused } = scene([next, signed({ seq: 9 })], JSON.stringify(signed({ seq: 7 })));
  expect(await cache.get()).toEqual(next);
  cache.heardOf(9);
  await vi.waitFor(() => expect(refused).toHaveBeenCalled(), 90_000);
  expect(cache.seq).toBe(8);
});

test.each([
  ['signed by another root', signed({ seq: 9 }, other)],
  ['signed by nobody', { siteMap: `${signed({ seq: 9 }).siteMap.slice(0, -8)}AAAAAAAA`, rootKey }],
  ['of another realm', signed({ seq: 9, realm: 'other' })],
  ['rolled back', signed({ seq: 6 })],
  ['too large', signed({ seq: 9, more: 'x'.repeat(MAX_SITE_MAP_BYTES) })],
  ['no map at all', { siteMap: 'x', rootKey: 'y' }],
])('a map that is %s is refused, and the last good one stays', async (_, answer) => {
  const good = signed({ seq: 7 });
  const { cache, changed, refused } = scene([answer], JSON.stringify(good));
  expect(cache.seq).toBe(7);
  expect(await cache.get()).toEqual(good);
  expect(refused).toHaveBeenCalledTimes(1);
  expect([cache.seq, changed]).toEqual([7, []]);
});

test('while Security does not answer the last good map is handed out, also that of an earlier run; without one nothing is', async () => {
  const good = signed({ seq: 7 });
  expect(await scene([], JSON.stringify(good)).cache.get()).toEqual(good);
  await expect(scene([]).cache.get()).rejects.toThrow('Security does not answer');
  const broken = scene([], 'cut sho');
  await expect(broken.cache.get()).rejects.toThrow('Security does not answer');
  expect(broken.refused).toHaveBeenCalledTimes(1);
});

test('whenever Security gives no map it is said why, be there an older one or none', async () => {
  const why = expect.objectContaining({ message: 'Security does not answer' });
  const [without, withOlder] = [scene([]), scene([], JSON.stringify(signed({ seq: 7 })))];
  await without.cache.get().catch(() => undefined);
  await without.cache.get().catch(() => undefined);
  await withOlder.cache.get();
  expect(without.failed.mock.calls).toEqual([[why], [why]]);
  expect(withOlder.failed.mock.calls).toEqual([[why]]);
  // A map that is refused was given.
  const foreign = scene([signed({ seq: 9 }, other)], JSON.stringify(signed({ seq: 7 })));
  await foreign.cache.get();
  expect([foreign.failed.mock.calls.length, foreign.refused.mock.calls.length]).toEqual([0, 1]);
});
