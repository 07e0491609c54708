import { generateKeyPairSync } from 'node:crypto';
import type { Backend, ResourceInput } from '@sallyport/security-api';
import { selfSigned } from '@sallyport/support';
import { expect, test } from 'vitest';
import {
  applyResources,
  changeResource,
  grantedResources,
  openedBackend,
  putGroup,
  putPolicy,
  putResource,
  readPolicySet,
  readRealm,
  sealedStore,
  shownBackend,
} from '../../src/index.ts';
import { keyringOf, renewAll } from '../keys/renewed.ts';
import { BY, scene } from '../scene.ts';

const PASSWORD = 'canary-password';
const WIKI: Backend = { url: 'https://wiki.internal', networks: ['10.0.0.0/8'] };
const WITH_PASSWORD: Backend = { ...WIKI, basic: { user: 'gate', password: PASSWORD } };

function http(authority: string, backend: Backend): ResourceInput {
  return { kind: 'http', authority, backend };
}

async function begun(keyId = 1) {
  const { access, ...rest } = await scene();
  const row = async (name: string) =>
    (await access.store.transaction(({ tables }) => tables.resources.find({ name })))!;
  const opened = async (name: string) => openedBackend(access, await row(name));
  return { access, row, opened, keyId, ...rest };
}

test('host names have one form, in authorities and in URLs of backends', async () => {
  const { access, row } = await begun();
  await putResource(access, 'app', http('My_App.corp.', { ...WIKI, url: 'https://APP_1.Internal.:8443' }), BY);
  expect(await row('app')).toMatchObject({ authority: 'my_app.corp', backend: { url: 'https://app_1.internal:8443' } });
  await putResource(access, 'six', http('[FD00:0::1]:81', { ...WIKI, url: 'http://[::0:1]:80' }), BY);
  expect(await row('six')).toMatchObject({ authority: '[fd00::1]:81', backend: { url: 'http://[::1]:80' } });
  await expect(putResource(access, 'again', http('MY_APP.corp', WIKI), BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_CONFLICT',
  });
});

test.each<[string, string, Partial<Backend>, string]>([
  ['no host', '*.10', {}, 'the authority'],
  ['a * without a wildcard', 'a.corp', { url: 'https://*.internal' }, 'only the backend of a wildcard'],
  ['a * in the middle', '*.corp', { url: 'https://a.*.internal' }, 'the URL'],
  ['a * that makes addresses', '*.corp', { url: 'https://*.0.0.1' }, 'the URL'],
  ['a * without networks', '*.corp', { url: 'https://*.internal', networks: [] }, 'the networks'],
  [
    'a password for hosts that devices choose',
    '*.corp',
    { url: 'https://*.internal', basic: { user: 'a', password: 'b' } },
    'no password goes',
  ],
  ['servers of two schemes', 'a.corp', { servers: [{ url: 'http://b.internal' }] }, 'one scheme'],
  ['a server twice', 'a.corp', { servers: [{ url: 'https://WIKI.internal.' }] }, 'named twice'],
  ['a weight of one server', 'a.corp', { weight: 3 }, 'weight means nothing'],
  ['health of one server', 'a.corp', { health: { path: '/' } }, 'health means nothing'],
  ['a wildcard as Host', 'a.corp', { host: '*.b' }, 'host is not'],
  ['a password without one', 'a.corp', { basic: { user: 'a' } }, 'is missing'],
  [
    'both credentials',
    'a.corp',
    { basic: { user: 'a', password: 'b' }, delegate: { directory: 'd', audience: 'x' } },
    'not both',
  ],
  [
    'no certificate',
    'a.corp',
    { clientCertificate: { certificate: 'x', key: 'y' } },
    'the certificate is no PEM of one',
  ],
  ['no CA', 'a.corp', { ca: 'x' }, 'the CA of a: the certificate is no PEM of one'],
])('a resource with %s is refused with its reason', async (_what, authority, backend, words) => {
  const { access } = await begun();
  const put = putResource(access, 'a', http(authority, { ...WIKI, ...backend }), BY);
  await expect(put).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID', message: expect.stringContaining(words) });
});

test('what means something over HTTP only is refused for a tcp resource', async () => {
  const { access } = await begun();
  const tcp = (backend: object) =>
    putResource(
      access,
      'db',
      { kind: 'tcp', authority: 'db.corp:1', backend: { url: 'tcp://db:1', networks: [], ...backend } },
      BY,
    );
  await expect(tcp({ prefix: '/a' })).rejects.toThrow('prefix means nothing');
  await expect(tcp({ url: 'tcp://db' })).rejects.toThrow('needs a port');
  await expect(tcp({ servers: [{ url: 'tcp://db2:1' }] })).resolves.toBeDefined();
});

test('a secret is kept wrapped, stays when it is not named, and goes with what it belongs to', async () => {
  const { access, row, opened, store } = await begun();
  const pair = selfSigned('gate');
  await putResource(access, 'wiki', http('wiki.corp', { ...WITH_PASSWORD, clientCertificate: pair }), BY);
  const text = JSON.stringify(await row('wiki'));
  expect(text).not.toContain(PASSWORD);
  expect(text).not.toContain('PRIVATE KEY');
  expect(JSON.stringify(shownBackend((await row('wiki')).backend))).not.toMatch(/wrapped|canary|PRIVATE/);
  await changeResource(access, 'wiki', { backend: { xForwarded: true } }, BY);
  expect(await opened('wiki')).toMatchObject({
    xForwarded: true,
    basic: { password: PASSWORD },
    clientCertificate: pair,
  });
  await changeResource(access, 'wiki', { backend: { basic: null } }, BY);
  expect(JSON.stringify((await row('wiki')).backend)).not.toContain('"password"');
  expect(await opened('wiki')).toMatchObject({ clientCertificate: pair });
  expect(store).toBeDefined();
});

test('a key that stands in the file of a certificate is kept and shown with neither that nor a CA', async () => {
  const { access, row, opened } = await begun();
  const { certificate, key } = selfSigned('gate');
  const file = key + certificate;
  const of = { ...WIKI, ca: file, clientCertificate: { certificate: file, key: file } };
  const put = await putResource(access, 'wiki', http('wiki.corp', of), BY);
  for (const seen of [put, await row('wiki')]) expect(JSON.stringify(seen)).not.toContain('PRIVATE KEY');
  expect(await opened('wiki')).toMatchObject({ ca: certificate, clientCertificate: { certificate } });
});

test('a password is only sent where it was given for: another user or server needs it again', async () => {
  const { access, opened } = await begun();
  await putResource(access, 'wiki', http('wiki.corp', WITH_PASSWORD), BY);
  for (const backend of [
    { url: 'https://evil.internal' },
    { servers: [{ url: 'https://evil.internal' }] },
    { ca: selfSigned('gate').certificate },
    { host: 'evil.corp' },
    { basic: { user: 'other' } },
  ])
    await expect(changeResource(access, 'wiki', { backend }, BY)).rejects.toMatchObject({
      code: 'ERR_ACCESS_INVALID',
      message: expect.stringContaining('give it again'),
    });
  await expect(changeResource(access, 'wiki', { authority: 'evil.corp' }, BY)).rejects.toThrow('give it again');
  // Told the same host as before.
  await changeResource(access, 'wiki', { authority: 'docs.corp', backend: { host: 'wiki.corp' } }, BY);
  const moved = { url: 'https://new.internal', basic: { user: 'gate', password: 'new' } };
  await changeResource(access, 'wiki', { backend: moved }, BY);
  expect(await opened('wiki')).toMatchObject(moved);
});

test('a renewed certificate keeps its key, and one of another key needs that', async () => {
  const { access, opened } = await begun();
  const [first, second] = [selfSigned('gate'), selfSigned('gate')];
  await putResource(access, 'wiki', http('wiki.corp', { ...WIKI, clientCertificate: first }), BY);
  const renewed = { certificate: first.certificate };
  await changeResource(access, 'wiki', { backend: { clientCertificate: renewed } }, BY);
  expect((await opened('wiki')).clientCertificate).toEqual(first);
  const other = { certificate: second.certificate };
  await expect(changeResource(access, 'wiki', { backend: { clientCertificate: other } }, BY)).rejects.toThrow(
    'new key',
  );
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const wrong = { ...second, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
  await expect(changeResource(access, 'wiki', { backend: { clientCertificate: wrong } }, BY)).rejects.toThrow(
    'together',
  );
});

test('the wrapped secret of one resource opens in no other, and a turn of the key-encryption key wraps it anew', async () => {
  const { access, row, store } = await begun();
  await putResource(access, 'wiki', http('wiki.corp', WITH_PASSWORD), BY);
  const { backend } = await row('wiki');
  expect(() => openedBackend(access, { name: 'news', backend })).toThrow('does not open');
  const version = (await readRealm(access.store)).policyVersion;
  const both = keyringOf(access.crypto, [1, 2], 2);
  await renewAll(store.in('main'), both);
  const keyring = keyringOf(access.crypto, [2], 2);
  const turned = { ...access, keyring, store: sealedStore(store.in('main'), keyring, () => undefined) };
  const renewed = (await turned.store.transaction(({ tables }) => tables.resources.find({ name: 'wiki' })))!;
  expect(renewed.backend).not.toEqual(backend);
  expect(openedBackend(turned, renewed).basic?.password).toBe(PASSWORD);
  expect(() => openedBackend(turned, { name: 'wiki', backend })).toThrow('missing');
  // Whoever keeps resources in memory reads them again.
  expect((await readRealm(turned.store)).policyVersion).toBeGreaterThan(version);
});

test('a grant for a wildcard says which names belong to others, whether the user may reach those or not', async () => {
  const { access } = await begun();
  await putGroup(access, 'staff', BY);
  for (const [name, authority] of [
    ['all', '*.corp'],
    ['dev', '*.dev.corp'],
    ['hr', 'hr.corp'],
    ['port', 'hr.corp:81'],
    ['out', 'out.example'],
  ] as const)
    await putResource(access, name, http(authority, WIKI), BY);
  const db = { url: 'tcp://db:1', networks: [] };
  await putResource(access, 'db', { kind: 'tcp', authority: 'db.corp', backend: db }, BY);
  await putPolicy(access, 'open', { groups: ['staff'], resources: ['all', 'out'], context: {} }, BY);
  const set = await access.store.transaction((transaction) => readPolicySet(transaction));
  const granted = grantedResources(set, ['staff']);
  expect(granted.map(({ name, except }) => [name, except?.toSorted()])).toEqual([
    ['all', ['*.dev.corp', 'hr.corp']],
    ['out', undefined],
  ]);
});

const FILE = [
  { name: 'wiki', ...http('wiki.corp', WITH_PASSWORD) },
  { name: 'news', ...http('news.corp', WIKI) },
];

test('a file is applied as a whole, says what it changes, and changes nothing the second time', async () => {
  const { access, row } = await begun();
  await putResource(access, 'old', http('old.corp', WIKI), BY);
  const heads = async () =>
    access.store.transaction(async ({ tables }) => [
      (await tables.realms.find({ id: 'realm' }))!.policyVersion,
      await tables.audit.count(),
    ]);
  const before = await heads();
  const plan = await applyResources(access, { resources: FILE, dryRun: true }, BY);
  expect(plan.changes).toEqual([
    { name: 'wiki', what: 'add', settings: [] },
    { name: 'news', what: 'add', settings: [] },
  ]);
  expect(await heads()).toEqual(before);
  await applyResources(access, { resources: FILE, basis: plan.basis }, BY);
  const [version, events] = await heads();
  expect([version, events]).toEqual([(before[0] as number) + 1, (before[1] as number) + 2]);
  const again = await applyResources(access, { resources: FILE }, BY);
  expect(again.changes.map(({ what }) => what)).toEqual(['same', 'same']);
  const { basic: _, ...bare } = WITH_PASSWORD;
  const exported = [{ name: 'wiki', ...http('WIKI.corp.', { ...bare, basic: { user: 'gate' } }) }, FILE[1]!];
  expect((await applyResources(access, { resources: exported }, BY)).changes.map(({ what }) => what)).toEqual([
    'same',
    'same',
  ]);
  expect(await heads()).toEqual([version, events]);
  const changed = [
    { name: 'wiki', ...http('wiki.corp', { ...WITH_PASSWORD, basic: { user: 'gate', password: 'new' } }) },
  ];
  const last = await applyResources(access, { resources: changed, prune: true }, BY);
  expect(last.changes).toEqual([
    { name: 'wiki', what: 'change', settings: ['backend.password'] },
    { name: 'news', what: 'remove', settings: [] },
    { name: 'old', what: 'remove', settings: [] },
  ]);
  expect(await row('news')).toBeUndefined();
});

test('resources of a file may change places, and nothing is left of a file that is refused', async () => {
  const { access, row } = await begun();
  await applyResources(access, { resources: FILE }, BY);
  const swapped = [
    { ...FILE[0]!, authority: 'news.corp' },
    { ...FILE[1]!, authority: 'wiki.corp' },
  ];
  const { basis } = await applyResources(access, { resources: swapped }, BY);
  expect([(await row('wiki')).authority, (await row('news')).authority]).toEqual(['news.corp', 'wiki.corp']);
  const before = [await row('wiki'), await row('news')];
  for (const resources of [
    [
      { ...FILE[0]!, authority: 'new.corp' },
      { name: 'bad', ...http('b.corp', { ...WIKI, networks: ['x'] }) },
    ],
    [{ name: 'third', ...http('wiki.corp', WIKI) }],
    [FILE[0]!, FILE[0]!],
  ])
    await expect(applyResources(access, { resources }, BY)).rejects.toThrow();
  await putResource(access, 'other', http('other.corp', WIKI), BY);
  await expect(applyResources(access, { resources: FILE, basis }, BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_CONFLICT',
  });
  expect([await row('wiki'), await row('news')]).toEqual(before);
});

test.each([
  ['10.0.0.0/8', true],
  ['fd00::/8', true],
  ['::1/128', true],
  ['10.0.0.0', false],
  ['10.0.0.0/33', false],
  ['300.0.0.0/8', false],
  ['intranet/8', false],
  ['10.0.0.0/8/8', false],
])('a network written as %s is taken: %s', async (network, taken) => {
  const { access } = await scene();
  const put = putResource(
    access,
    'r',
    { kind: 'http', authority: 'r.corp', backend: { url: 'http://x', networks: [network] } },
    BY,
  );
  if (taken) await put;
  else await expect(put).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
});
