import { replaceHandshakeKeys, StoreError } from '@sallyport/access';
import { DeviceEstablish, decodeHint, MESSAGE_TYPES, parseBase64Url, publicKeyOf } from '@sallyport/channel';
import { expect, test } from 'vitest';
import { openRealmKeys } from '../../src/keys/keys.ts';
import { LiveKeys } from '../../src/keys/live-keys.ts';
import { siteMapSigner } from '../../src/sign-in/site-map.ts';
import { handshakesOf, type SceneParts, scene } from '../scene.ts';

const DAY_MS = 86_400_000;

test('handshake keys overlap: a new one after 45 days, the old one good until its 90th', async () => {
  const { context, clock } = await scene();
  const { access, liveKeys, node } = context;
  const first = context.keys.newestKid;
  expect((await openRealmKeys(access)).newestKid).toBe(first);
  clock.now += 46 * DAY_MS;
  liveKeys.use(await openRealmKeys(access));
  expect(liveKeys.current).toMatchObject({ newestKid: first, published: false });
  await node.report();
  await node.report();
  const { newestKid, handshake } = liveKeys.current;
  expect(newestKid).not.toBe(first);
  expect([...handshake.keys()]).toEqual([newestKid, first]);
  clock.now += 45 * DAY_MS;
  const later = await openRealmKeys(access);
  expect([...later.handshake.keys()]).not.toContain(first);
  const rows = await access.store.transaction(({ tables }) => tables.keys.list({ where: { purpose: 'handshake' } }));
  expect(rows.filter(({ retiredAt }) => retiredAt !== null).map(({ secret }) => secret)).toEqual([null]);
  expect(await mapOf(context)).toMatchObject({ revoked: [first] });
});

async function mapOf(context: SceneParts): Promise<{ seq: number; keys: { kid: number }[]; revoked: number[] }> {
  const [, payload = ''] = (await siteMapSigner(context)()).split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString());
}

/** Two nodes of one farm, both beating. */
async function farm() {
  const one = await scene();
  const two = await scene({ access: one.context.access, clock: one.clock }, { id: 'n2' });
  const [a, b] = [one.context, two.context];
  const tell = async (...nodes: SceneParts[]): Promise<void> => {
    for (const context of nodes) await context.node.report();
  };
  await tell(a, b, a);
  return { a, b, clock: one.clock, tell };
}

/** A device's HS1 with the newest key of a site map, as a node answers it: with HS2, or a hint. */
async function answerTo(context: SceneParts, kid: number): Promise<string> {
  const { crypto } = context.access;
  const row = (await context.access.store.transaction(({ tables }) => tables.keys.list())).find(
    ({ publicPart }) => (publicPart as { kid?: number }).kid === kid,
  );
  const rs = publicKeyOf(row ? parseBase64Url((row.publicPart as { key: string }).key) : crypto.randomBytes(32));
  const start = { crypto, suite: 1, role: 'session', realm: 'main', kid, rs } as const;
  const hs1 = new DeviceEstablish({ ...start, deviceStatic: crypto.generateKeyPair() }).writeHs1();
  const { message } = await handshakesOf(context).begin(hs1, crypto.randomBytes(4).join('.'));
  return message[0] === MESSAGE_TYPES.HINT ? decodeHint(message).code : 'HS2';
}

test('a new handshake key is in no site map until every node that is awake can answer with it', async () => {
  const { a, b, clock, tell } = await farm();
  const first = a.keys.newestKid;
  clock.now += 46 * DAY_MS;
  await tell(a, b);
  a.liveKeys.use(await openRealmKeys(a.access));
  // Only the first node beats on: the other is awake, and has not read the key yet.
  await tell(a, a, a);
  expect((await mapOf(a)).keys.map(({ kid }) => kid)).toEqual([first]);
  expect(await mapOf(b)).toEqual(await mapOf(a));
  await tell(b);
  await tell(b, a, b);
  const { keys } = await mapOf(a);
  expect(keys).toHaveLength(2);
  for (const node of [a, b]) expect(await answerTo(node, keys[0]!.kid)).toBe('HS2');
  for (const node of [a, b]) expect(await answerTo(node, first)).toBe('HS2');
});

test('keys in wrong hands are replaced at once: no node takes the old one, and site maps name it as revoked', async () => {
  const { a, b, tell } = await farm();
  const stolen = a.keys.newestKid;
  const by = { actor: 'olga', reason: 'a backup was stolen' };
  const revoked = await replaceHandshakeKeys(a.access, by);
  expect(revoked).toEqual([stolen]);
  await a.liveKeys.reread();
  const { keys, revoked: named } = await mapOf(b);
  expect(named).toEqual([stolen]);
  expect(keys.map(({ kid }) => kid)).toEqual([a.keys.newestKid]);
  expect(await answerTo(b, a.keys.newestKid)).toBe('HS2');
  await tell(b);
  for (const node of [a, b]) expect(await answerTo(node, stolen)).toBe('UNKNOWN_KID');
  const rows = await a.access.store.transaction(({ tables }) => tables.keys.list({ where: { purpose: 'handshake' } }));
  expect(rows.filter(({ secret }) => secret !== null)).toHaveLength(1);
});

test('a node that was silent while a key was published reads it when a device comes with it', async () => {
  const { a, b, clock, tell } = await farm();
  clock.now += 46 * DAY_MS;
  a.liveKeys.use(await openRealmKeys(a.access));
  await tell(a);
  clock.now += 10_000;
  await tell(a, a);
  const { keys } = await mapOf(a);
  expect(keys).toHaveLength(2);
  expect(b.keys.handshake.has(keys[0]!.kid)).toBe(false);
  expect(await answerTo(b, keys[0]!.kid)).toBe('HS2');
});

test('strangers with made-up kids make a node look into the store once a second at most', async () => {
  const { a, clock } = await farm();
  let looks = 0;
  const transaction = (work: never): unknown => {
    looks += 1;
    return a.access.store.transaction(work);
  };
  const counted = { realm: 'main', transaction };
  const keys = new LiveKeys({ ...a.access, store: counted as never }, a.keys, {
    monotonicMs: () => clock.now,
    times: a.liveKeys.times,
  });
  for (let i = 0; i < 50; i++) expect(await keys.find(1_000 + i)).toBeUndefined();
  expect(looks).toBe(1);
  clock.now += 1_000;
  await Promise.all([keys.find(1), keys.find(2), keys.find(3)]);
  expect(looks).toBe(2);
});

test('a store that does not answer is "later" to a device with an unknown key, never "unknown"', async () => {
  const { a } = await farm();
  const gone = { realm: 'main', transaction: () => Promise.reject(new StoreError('ERR_STORE_UNAVAILABLE', 'gone')) };
  const liveKeys = new LiveKeys({ ...a.access, store: gone as never }, a.keys, {
    monotonicMs: () => 0,
    times: a.liveKeys.times,
  });
  expect(await answerTo({ ...a, keys: a.keys, liveKeys } as SceneParts, 77)).toBe('UNAVAILABLE');
});

test('of one version of the site map all nodes make the same bytes, whatever each of them knows', async () => {
  const { a, b, clock, tell } = await farm();
  const maps = new Map<number, Set<string>>();
  const note = async (): Promise<void> => {
    for (const context of [a, b]) {
      const text = await siteMapSigner(context)();
      const { seq } = await mapOf(context);
      maps.set(seq, (maps.get(seq) ?? new Set()).add(text));
    }
  };
  for (let turn = 0; turn < 3; turn++) {
    clock.now += 46 * DAY_MS;
    a.liveKeys.use(await openRealmKeys(a.access));
    await note();
    for (const node of [a, b, a, b]) {
      await tell(node);
      await note();
    }
  }
  expect(maps.size).toBeGreaterThan(5);
  expect([...maps.values()].map(({ size }) => size)).toEqual([...maps.keys()].map(() => 1));
});

test('root, assertion key and CA stay the same', async () => {
  const { context } = await scene();
  const again = await openRealmKeys(context.access);
  expect(again.rootThumbprint).toEqual(context.keys.rootThumbprint);
  expect(again.assertion.id).toBe(context.keys.assertion.id);
  expect(again.ca.fingerprint).toBe(context.keys.ca.fingerprint);
});
