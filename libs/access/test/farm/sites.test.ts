import { MAX_SITE_MAP_BYTES } from '@sallyport/channel';
import { expect, test } from 'vitest';
import {
  adoptSiteLists,
  changeResource,
  drainSite,
  findResource,
  issueJoinToken,
  moveProxy,
  putDirectory,
  putGroup,
  putPolicy,
  putResource,
  putSite,
  readRealm,
  readSiteMap,
  recordBeat,
  redeemJoinToken,
  removeRight,
  removeSite,
  revokeProxy,
} from '../../src/index.ts';
import { bumpMapVersion } from '../../src/realm/realm.ts';
import { BY, scene } from '../scene.ts';

const BACKEND = { url: 'http://127.0.0.1:1', networks: [] };
const WIKI = { kind: 'http', authority: 'wiki.corp', backend: BACKEND } as const;
const KEY = 'f0'.repeat(32);

/** A realm with sites of these names. */
async function realmWith(...names: readonly string[]) {
  const { access } = await scene();
  for (const name of names) await putSite(access, { name, origins: [`wss://${name}.example`] }, BY);
  const sitesOfWiki = async () => (await findResource(access, 'wiki'))?.sites;
  return { access, sitesOfWiki };
}

test('a new resource is at the only site; where there are several, somebody says at which', async () => {
  const one = await realmWith('a');
  await putResource(one.access, 'wiki', WIKI, BY);
  expect(await one.sitesOfWiki()).toEqual(['a']);
  await putSite(one.access, { name: 'b', origins: ['wss://b'] }, BY);
  // Said once, it stays, however often the rest is written.
  await putResource(one.access, 'wiki', WIKI, BY);
  expect(await one.sitesOfWiki()).toEqual(['a']);
  const two = await realmWith('a', 'b');
  await expect(putResource(two.access, 'wiki', WIKI, BY)).rejects.toThrow('say at which sites it is, of a, b');
  await putResource(two.access, 'wiki', { ...WIKI, sites: null }, BY);
  expect(await two.sitesOfWiki()).toBeNull();
  await changeResource(two.access, 'wiki', { sites: ['b', 'a'] }, BY);
  expect(await two.sitesOfWiki()).toEqual(['b', 'a']);
});

test.each([
  [['c'], 'there is no site c; there are a, b'],
  [['a', 'b,c'], 'there is no site c'],
  [['a', 'b,a'], 'a site is named twice'],
])('a resource at %j is refused: %s', async (sites, words) => {
  const { access } = await realmWith('a', 'b');
  await expect(putResource(access, 'wiki', { ...WIKI, sites }, BY)).rejects.toThrow(words);
});

test('a site goes when no resource, Proxy or policy names it, and it is said which do', async () => {
  const { access } = await realmWith('a', 'b');
  await putGroup(access, 'staff', BY);
  await putResource(access, 'wiki', { ...WIKI, sites: ['a', 'b'] }, BY);
  await putPolicy(access, 'p', { groups: ['staff'], resources: ['wiki'], context: {}, notSites: ['b'] }, BY);
  expect(await redeemJoinToken(access, await issueJoinToken(access, { name: 'p1', site: 'b' }, BY), KEY)).toBeDefined();
  const gone = () => removeSite(access, 'b', BY);
  await expect(gone()).rejects.toThrow('site b is still named by resource wiki, Proxy p1, policy p');
  await changeResource(access, 'wiki', { sites: ['a'] }, BY);
  await removeRight(access, 'policies', 'p', BY);
  await expect(gone()).rejects.toThrow('site b is still named by Proxy p1');
  await revokeProxy(access, 'p1', BY);
  const late = await issueJoinToken(access, { name: 'p2', site: 'b' }, BY);
  expect(await gone()).toBe(true);
  expect(await gone()).toBe(false);
  // Nor does a Proxy come later to a site that is gone.
  expect(await redeemJoinToken(access, late, KEY)).toBeUndefined();
});

test('a lease of a site counts for restores before any Proxy has it', async () => {
  const { access } = await realmWith('a');
  const longest = async () => (await readRealm(access.store)).longestLeaseMs;
  expect(await longest()).toBe(15_000);
  await putSite(access, { name: 'a', origins: ['wss://a'], leaseMs: 5_000 }, BY);
  expect(await longest()).toBe(15_000);
  const site = await putSite(access, { name: 'a', origins: ['wss://a'], leaseMs: 90_000 }, BY);
  expect([site.leaseMs, await longest()]).toEqual([90_000, 90_000]);
  expect(await putSite(access, { name: 'a', origins: ['wss://new'] }, BY)).toMatchObject({ leaseMs: 90_000 });
  const nodes = await putSite(access, { name: 'a', origins: ['wss://new'], leaseMs: null }, BY);
  expect(nodes.leaseMs).toBeNull();
  // What was given may live.
  expect(await longest()).toBe(90_000);
});

test('a site map that nobody would take is refused in words, and nothing of it is stored', async () => {
  const { access } = await realmWith('a');
  const far = (site: string) => ({
    name: site,
    origins: Array.from({ length: 16 }, (_, i) => `wss://${i}.${site}.${'x'.repeat(200)}`),
  });
  const names: string[] = [];
  const fill = async (): Promise<unknown> => {
    for (let i = 0; ; i++) {
      const failed = await putSite(access, far(`s${i}`), BY).catch((error: unknown) => error);
      if (failed instanceof Error) return failed;
      names.push(`s${i}`);
    }
  };
  expect(await fill()).toMatchObject({
    code: 'ERR_ACCESS_INVALID',
    message: expect.stringMatching(/^the site map would have \d+ bytes, of \d+ at most/),
  });
  const map = await readSiteMap(access);
  expect(map.sites.map(({ name }) => name).sort()).toEqual(['a', ...names].sort());
  expect((JSON.stringify(map).length * 4) / 3).toBeLessThan(MAX_SITE_MAP_BYTES);
  const { mapVersion } = await readRealm(access.store);
  await expect(putSite(access, { ...far('a'), name: 'a' }, BY)).rejects.toThrow('the site map would have');
  expect((await readRealm(access.store)).mapVersion).toBe(mapVersion);
  // What makes it shorter goes, and a lease says nothing in it.
  await putSite(access, { name: 'a', origins: ['wss://a'], leaseMs: 5_000 }, BY);
  await putSite(access, { name: names[0]!, origins: ['wss://s'] }, BY);
  await putSite(access, { ...far('a'), name: 'a' }, BY);
});

test('a provider that has no room in the site map is refused before it is asked', async () => {
  const { access } = await realmWith('a');
  const redirects = Array.from({ length: 300 }, (_, i) => `https://phone.example/${'y'.repeat(150)}/${i}`);
  const settings = { issuer: 'https://idp.example', clientId: 'c', redirects } as never;
  const put = putDirectory(access, 'idp', { kind: 'oidc', stage: 'active', settings }, BY);
  await expect(put).rejects.toThrow('the site map would have');
  expect((await readRealm(access.store)).mapVersion).toBeGreaterThan(0);
  await putSite(access, { name: 'b', origins: ['wss://b'] }, BY);
});

test('emptying a site and opening it again each happen once', async () => {
  const { access } = await realmWith('a', 'b');
  const version = async () => (await readRealm(access.store)).mapVersion;
  const before = await version();
  expect((await drainSite(access, { name: 'b', drained: true }, BY)).drainedAt).not.toBeNull();
  const drained = await version();
  expect(drained).toBeGreaterThan(before);
  await drainSite(access, { name: 'b', drained: true }, BY);
  expect(await version()).toBe(drained);
  // Another origin does not open it.
  expect((await putSite(access, { name: 'b', origins: ['wss://new'] }, BY)).drainedAt).not.toBeNull();
  expect((await drainSite(access, { name: 'b', drained: false }, BY)).drainedAt).toBeNull();
  const unknown = drainSite(access, { name: 'c', drained: true }, BY);
  await expect(unknown).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});

test('lists of a version before, where sites named resources, open nothing that was closed', async () => {
  const { access, sitesOfWiki } = await realmWith('a', 'b');
  await putResource(access, 'wiki', { ...WIKI, sites: null }, BY);
  await putResource(access, 'news', { ...WIKI, authority: 'news.corp', sites: null }, BY);
  await access.store.transaction(async ({ tables }) => {
    await tables.sites.update({ where: { name: 'a' } }, { resources: ['news'] });
    await tables.sites.update({ where: { name: 'b' } }, { resources: ['other'] });
  });
  expect(await adoptSiteLists(access)).toBe(2);
  expect([await sitesOfWiki(), (await findResource(access, 'news'))?.sites]).toEqual([[], ['a']]);
  expect(await adoptSiteLists(access)).toBe(0);
});

test('a Proxy is told the lease of its site, whether that is emptied, and the version of the map', async () => {
  const { access } = await realmWith('a', 'b');
  await redeemJoinToken(access, await issueJoinToken(access, { name: 'p1', site: 'b' }, BY), KEY);
  const beat = async () => {
    const fresh = {
      instance: '1'.repeat(32),
      seen: 0,
      hash: '',
      done: 0,
      channels: 3,
      requests: 7,
      bytes: 9,
      rttMs: 80,
    };
    return recordBeat(access, { proxy: 'p1', keyHash: KEY, beat: fresh, leaseMs: 15_000, node: 'n1' });
  };
  const { mapVersion } = await readRealm(access.store);
  expect(await beat()).toMatchObject({ type: 'lease', leaseMs: 15_000, drained: false, siteMapSeq: mapVersion });
  await putSite(access, { name: 'b', origins: ['wss://b'], leaseMs: 40_000 }, BY);
  await drainSite(access, { name: 'b', drained: true }, BY);
  expect(await beat()).toMatchObject({ type: 'lease', leaseMs: 40_000, drained: true });
  await putSite(access, { name: 'b', origins: ['wss://b'], leaseMs: 5_000 }, BY);
  expect(await beat()).toMatchObject({ leaseMs: 5_000 });
  const [row] = await access.store.transaction(({ tables }) => tables.leases.list());
  // Who revokes waits for the longer one, which may live; what the Proxy says of itself is kept for people.
  expect(row).toMatchObject({ leaseMs: 40_000, channels: 3, requests: 7, bytes: 9, rttMs: 80 });
  expect(await moveProxy(access, { name: 'p1', site: 'a' }, BY)).toBe(true);
  expect(await beat()).toMatchObject({ leaseMs: 15_000, drained: false });
  const move = (name: string, site: string) => moveProxy(access, { name, site }, BY);
  // Who was told that it is not in force yet asks again, and is told when it is.
  expect(await move('p1', 'a')).toBe(false);
  for (const refused of [move('p1', 'c'), move('p9', 'b')])
    await expect(refused).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});

test('a map that changes while it is read is read again: what is of a version has what that version says', async () => {
  const { access } = await realmWith('a');
  const origins = ['wss://elsewhere.example'];
  let changes = 0;
  const store: typeof access.store = {
    ...access.store,
    transaction: (work) =>
      access.store.transaction(async (transaction) => {
        const { tables } = transaction;
        // Another transaction is committed between two statements of this one.
        const list = async (): ReturnType<typeof tables.sites.list> => {
          const rows = await tables.sites.list();
          if (changes++ > 0) return rows;
          await tables.sites.update({ where: { name: 'a' } }, { origins });
          await bumpMapVersion(transaction);
          return rows;
        };
        return work({ ...transaction, tables: { ...tables, sites: { list } as typeof tables.sites } });
      }),
  };
  const { seq, sites } = await readSiteMap({ ...access, store });
  expect(sites).toEqual([{ name: 'a', origins }]);
  expect(seq).toBe((await readRealm(access.store)).mapVersion);
});
