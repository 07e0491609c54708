import type { PolicyView, RealmSettings, ResourceView } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { judgeRealm, type RealmSetup } from '../src/index.ts';

const SETTINGS = {
  production: true,
  loginNeedsPassword: true,
  secondFactor: 'required',
  sessionTtlMs: 86_400_000,
  codeTtlMs: 86_400_000,
  previousKeyGraceMs: 600_000,
  auditKeepMs: 0,
} as RealmSettings;
const wiki: ResourceView = {
  ...{ name: 'wiki', title: 'wiki', kind: 'http', authority: 'wiki.example', sites: null, region: null },
  backend: { url: 'https://wiki.example.com', networks: [] },
};
const staff: PolicyView = { name: 'staff', groups: ['staff'], resources: ['wiki'], context: {} };
const SOUND: RealmSetup = {
  settings: SETTINGS,
  sites: [{ name: 'main', origins: ['wss://gate.example.com'], leaseMs: 15_000 }],
  apps: [{ id: 'a.b', groups: ['staff'], signers: [] }],
  policies: [staff],
  resources: [wiki],
  groups: ['staff'],
};
const judge = (changed: Partial<RealmSetup>) => judgeRealm({ ...SOUND, ...changed });
const settings = (changed: Partial<RealmSettings>) => ({ settings: { ...SETTINGS, ...changed } });

test('a realm that is sound raises nothing', () => {
  expect(judge({})).toEqual([]);
});

test.each([
  [settings({ production: false }), 'error', /no realm of production/, 'sallyport realm set production true'],
  [settings({ loginNeedsPassword: false, secondFactor: 'whenEnrolled' }), 'warning', /neither a password/, 'realm set'],
  [settings({ sessionTtlMs: 30 * 86_400_000 }), 'warning', /lives for 30 days/, 'realm set sessionTtlMs'],
  [
    { sites: [{ name: 'x', origins: ['ws://gate.example.com'], leaseMs: 1 }] },
    'error',
    /without TLS/,
    'wss://gate.example.com',
  ],
  [{ sites: [{ name: 'x', origins: ['wss://g'], leaseMs: 90_000 }] }, 'error', /for 90 s/, '--lease 15s'],
  [{ apps: [{ id: 'a.b', groups: null, signers: [] }] }, 'warning', /everybody may use it/, '--signer'],
  [{ apps: [{ id: 'a.b', groups: [], signers: [] }] }, 'error', /no group may use it/, 'app remove a.b'],
  [{ policies: [{ ...staff, resources: ['wiki', 'gone'] }] }, 'error', /no resource gone/, 'policy set staff'],
  [{ policies: [{ ...staff, sites: ['gone'] }] }, 'error', /no site gone/, 'policy set staff'],
  [
    { policies: [{ ...staff, groups: ['staff', 'gone'] }] },
    'warning',
    /nobody is in the group gone/,
    '--remove-group gone',
  ],
  [{ policies: [staff, { ...staff, name: 'none', groups: [] }] }, 'error', /opens nothing/, 'policy remove none'],
  [{ policies: [{ ...staff, networks: ['0.0.0.0/0'] }] }, 'error', /is everywhere/, '--unset networks'],
  [{ policies: [{ ...staff, notNetworks: ['::/0'] }] }, 'error', /opens nothing/, '--unset notNetworks'],
  [{ resources: [wiki, { ...wiki, name: 'lost' }] }, 'error', /no policy opens it/, 'policy add'],
  [
    { resources: [{ ...wiki, backend: { url: 'http://10.1.2.3', networks: [] } }] },
    'error',
    /no Proxy will reach/,
    'resource set wiki',
  ],
] as const)('%j', (changed, severity, words, change) => {
  const faults = judge(changed as Partial<RealmSetup>);
  expect(
    faults.some((one) => one.severity === severity && words.test(one.what) && one.change.includes(change)),
    JSON.stringify(faults),
  ).toBe(true);
});
