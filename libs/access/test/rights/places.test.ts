import { expect, test } from 'vitest';
import {
  changePolicy,
  explainRights,
  issueJoinToken,
  type PolicySet,
  putGroup,
  putPolicy,
  putResource,
  putSite,
  putUser,
  readPolicySet,
  redeemJoinToken,
} from '../../src/index.ts';
import { routesFor, servedAt, sitesServing } from '../../src/rights/policies.ts';
import type { PolicyRow, ResourceRow, StoredPlace } from '../../src/rights/rows.ts';
import { BY, scene } from '../scene.ts';

const BACKEND = { url: 'http://127.0.0.1:1', networks: [] };
const site = (name: string, drainedAt: number | null = null) => ({
  ...{ name, origins: [], resources: [], leaseMs: null },
  drainedAt,
});

/** A resource `r` at sites and in a region, opened to `staff` by policies that hold at places. */
function setOf(
  sites: ResourceRow['sites'],
  places: readonly (StoredPlace | null)[],
  over: { region?: string; drained?: string } = {},
): PolicySet {
  const { region = null, drained } = over;
  const row = { name: 'r', kind: 'http', authority: 'r.corp', title: 'r', backend: BACKEND, sites, region } as const;
  const policies = places.map((place, i): PolicyRow => {
    return { name: `p${i}`, groups: ['staff'], resources: ['r'], rule: { context: {} }, place };
  });
  return {
    resources: [row],
    policies,
    apps: [],
    updateRoot: undefined,
    sites: ['a', 'b', 'c'].map((name) => site(name, name === drained ? 1 : null)),
  };
}

/** At which sites it is served, by which policies, and where devices are told to go. */
function placesOf(set: PolicySet, groups = ['staff']) {
  const served = ['a', 'b', 'c', 'nowhere'].flatMap((name) =>
    servedAt(set, name, groups).map(({ rules }) => `${name} by ${rules.map(({ policy }) => policy).join(' ')}`),
  );
  return { served, route: routesFor(set, groups)?.[0]?.sites };
}

test.each([
  ['every site', setOf(null, [null]), ['a by p0', 'b by p0', 'c by p0'], [['a', 'b', 'c']]],
  ['sites by preference', setOf(['b', 'a'], [null]), ['a by p0', 'b by p0'], [['b'], ['a']]],
  ['sites that are alike', setOf(['c', 'a,b'], [null]), ['a by p0', 'b by p0', 'c by p0'], [['c'], ['a', 'b']]],
  ['a site that is not there any more', setOf(['nowhere', 'a'], [null]), ['a by p0'], [['a']]],
  ['no site at all', setOf([], [null]), [], undefined],
  ['a demanded site', setOf(null, [{ sites: ['b'] }]), ['b by p0'], [['b']]],
  ['a demanded site that has not got it', setOf(['a'], [{ sites: ['b'] }]), [], undefined],
  ['a forbidden site', setOf(null, [{ notSites: ['b'] }]), ['a by p0', 'c by p0'], [['a', 'c']]],
  ['demanded and forbidden', setOf(null, [{ sites: ['a', 'b'], notSites: ['b'] }]), ['a by p0'], [['a']]],
  ['one of two policies', setOf(['a', 'b'], [{ sites: ['a'] }, null]), ['a by p0 p1', 'b by p1'], [['a'], ['b']]],
  ['a region', setOf(['a'], [{ regions: ['eu'] }], { region: 'eu' }), ['a by p0'], [['a']]],
  ['another region', setOf(['a'], [{ regions: ['eu'] }], { region: 'us' }), [], undefined],
  ['no region', setOf(['a'], [{ regions: ['eu'] }]), [], undefined],
  ['a forbidden region', setOf(['a'], [{ notRegions: ['us'] }], { region: 'us' }), [], undefined],
  ['a region that is not forbidden', setOf(['a'], [{ notRegions: ['us'] }], { region: 'eu' }), ['a by p0'], [['a']]],
  ['no region where some are forbidden', setOf(['a'], [{ notRegions: ['us'] }]), [], undefined],
  ['a site that is emptied', setOf(['a', 'b'], [null], { drained: 'a' }), ['a by p0', 'b by p0'], [['b']]],
  ['the only site, emptied', setOf(['a'], [null], { drained: 'a' }), ['a by p0'], [['a']]],
])('what is served where, and devices are told the same: %s', (_what, set, served, route) => {
  expect(placesOf(set)).toEqual({ served, route });
  expect(placesOf(set, ['others'])).toEqual({ served: [], route: undefined });
});

test.each([
  ['where it is, while no policy opens it', setOf(['b'], []), ['b']],
  ['at every site', setOf(null, []), ['a', 'b', 'c']],
  ['where a policy opens it', setOf(null, [{ notSites: ['b'] }, { sites: ['a'] }]), ['a', 'c']],
  ['nowhere else', setOf(['a'], [{ sites: ['b'] }]), []],
])('a backend is told to Proxies of sites that serve it: %s', (_what, set, sites) => {
  expect(sitesServing(set, set.resources[0]!)).toEqual(sites);
});

test('in a realm of one site nothing is said of sites', () => {
  const set = setOf(null, [null]);
  expect(routesFor({ ...set, sites: [site('a')] }, ['staff'])).toBeUndefined();
});

test('networks go to the Proxy, which sees where devices are', () => {
  const [granted] = servedAt(setOf(null, [{ networks: ['10.0.0.0/8'], notNetworks: ['10.9.0.0/16'] }]), 'a', ['staff']);
  expect(granted?.rules).toMatchObject([{ networks: ['10.0.0.0/8'], notNetworks: ['10.9.0.0/16'] }]);
});

test('rules by place name sites and networks that there are, and are taken away one by one', async () => {
  const { access } = await scene();
  await putGroup(access, 'staff', BY);
  await putSite(access, { name: 'a', origins: [] }, BY);
  const policy = { groups: ['staff'], resources: [], context: {} };
  await expect(putPolicy(access, 'p', { ...policy, sites: ['x'] }, BY)).rejects.toThrow('no site x');
  const odd = { ...policy, networks: ['10.0.0.0/33'] };
  await expect(putPolicy(access, 'p', odd, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  const row = await putPolicy(access, 'p', { ...policy, regions: ['eu'], sites: ['a'] }, BY);
  expect(row.place).toEqual({ sites: ['a'], regions: ['eu'] });
  expect((await changePolicy(access, 'p', { regions: null }, BY)).place).toEqual({ sites: ['a'] });
  expect((await changePolicy(access, 'p', { notNetworks: ['10.0.0.0/8'] }, BY)).place).toEqual({
    sites: ['a'],
    notNetworks: ['10.0.0.0/8'],
  });
  expect((await changePolicy(access, 'p', { sites: null, notNetworks: null }, BY)).place).toBeNull();
  expect(await access.store.transaction(readPolicySet)).toMatchObject({ policies: [{ name: 'p', place: null }] });
});

test('somebody is told by which site, Proxy and policy a resource is reached, and why not', async () => {
  const { access } = await scene();
  await putGroup(access, 'staff', BY);
  await putUser(access, 'ada', { password: 'pw', groups: ['staff'] }, BY);
  for (const name of ['a', 'b']) await putSite(access, { name, origins: [] }, BY);
  await redeemJoinToken(access, await issueJoinToken(access, { name: 'p1', site: 'b' }, BY), 'f0'.repeat(32));
  const wiki = { kind: 'http' as const, authority: 'wiki.corp', backend: BACKEND, sites: ['b', 'a'], region: 'eu' };
  await putResource(access, 'wiki', wiki, BY);
  await putPolicy(access, 'p', { groups: ['staff'], resources: ['wiki'], context: {}, sites: ['b'] }, BY);
  const right = async () => (await explainRights(access, 'ada')).resources[0];
  expect(await right()).toMatchObject({
    allowed: true,
    policies: [{ policy: 'p', only: 'through site b' }],
    sites: [
      { site: 'b', serves: true, policies: ['p'], proxies: ['p1'], words: '' },
      { site: 'a', serves: false, policies: [], proxies: [], words: 'no policy opens it through this site' },
    ],
  });
  await changePolicy(access, 'p', { regions: ['us'] }, BY);
  expect(await right()).toMatchObject({ allowed: false, words: 'the resource is in region eu: p opens others' });
  await changePolicy(access, 'p', { regions: null, notSites: ['b'] }, BY);
  expect(await right()).toMatchObject({
    allowed: false,
    words: expect.stringContaining('no site serves it: b: no policy opens it through this site'),
  });
});
