import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Device, finishProviderSignIn, memoryStorage, type StoredProvider } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import type { MigrationView, User } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { freePort } from '@sallyport/support';
import type { Client } from 'ldapts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Backend, startBackend } from '../src/backend.ts';
import { ldapInput, settled, sync, userNamed } from '../src/directory/operate.ts';
import { adTree, dnOf, loginOf, PERSON_PASSWORD } from '../src/directory/people.ts';
import { CLIENT_ID, CLIENT_SECRET, RealProvider } from '../src/directory/provider.ts';
import { PlainBrowser } from '../src/directory/provider-browser.ts';
import { entraUser, ScimClient } from '../src/directory/scim-client.ts';
import { RealLdap } from '../src/directory/slapd.ts';
import { CONTEXT, Gateway } from '../src/gateway.ts';

const COUNT = 30;
const REDIRECT = 'com.example.app:/signed-in';
const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
const MATCH = ['employeeId', 'employeeNumber'] as const;
let ldap: RealLdap;
let root: Client;
let gateway: Gateway;
let backend: Backend;
let provider: RealProvider;
let scim: ScimClient;
let device: Device;
const ids = new Map<number, string>();

beforeAll(async () => {
  ldap = await RealLdap.start(adTree(COUNT));
  root = await ldap.root();
  backend = await startBackend();
  const port = await freePort();
  gateway = await Gateway.start({ proxies: 1, environment: { SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${port}` } });
  const trust = join(gateway.folder, 'ca.pem');
  writeFileSync(trust, gateway.security.ready.ca!);
  const logoutUri = `https://127.0.0.1:${port}/oidc/entra-sign-in/backchannel-logout`;
  provider = await RealProvider.start({ redirects: [REDIRECT], logoutUri, trust });
  const { operator } = gateway;
  await operator.call(api.directories.put, { params: { name: 'ad' }, body: ldapInput(ldap, { flavour: 'ad' }) });
  await settled(operator, 'ad');
  const wiki = {
    kind: 'http' as const,
    authority: 'wiki.corp',
    backend: { url: backend.url, networks: ['127.0.0.0/8'] },
  };
  await operator.call(api.resources.put, { params: { name: 'wiki' }, body: wiki });
  await operator.call(api.policies.put, {
    params: { name: 'wiki' },
    body: { groups: ['all@ad'], resources: ['wiki'], context: {} },
  });
  device = await openDevice(memoryStorage(), () => CONTEXT);
  await device.enroll(await gateway.link(loginOf(1)), { user: loginOf(1), password: PERSON_PASSWORD });
  await device.login();
});
afterAll(async () => {
  device.close();
  await scim.close();
  await root.unbind();
  await gateway.stop();
  await Promise.all([ldap.stop(), provider.stop(), backend.close()]);
});

async function migrate(over: object = {}): Promise<MigrationView> {
  const body = { from: 'ad', to: 'entra', match: MATCH, apply: false, ...over };
  return await gateway.operator.call(api.directories.migrate, { body });
}

const userOf = (name: string): Promise<User | undefined> => userNamed(gateway.operator, name);

test('Entra ID pushes into a staged directory: nobody becomes a user yet', async () => {
  const { operator } = gateway;
  await operator.call(api.directories.put, {
    params: { name: 'entra' },
    body: { kind: 'scim', stage: 'staged', settings: {} },
  });
  const { token, url } = await operator.call(api.directories.token, { params: { name: 'entra' }, body: {} });
  scim = new ScimClient(url as string, gateway.security.ready.ca!, token as string);
  for (let i = 0; i < COUNT; i++) {
    // Three are not as they should be: not there, twice the same number, not active.
    if (i === 20) continue;
    const employeeNumber = i === 22 ? '100021' : String(100_000 + i);
    const over = { externalId: loginOf(i), [ENTERPRISE]: { employeeNumber }, ...(i === 23 ? { active: false } : {}) };
    const { body } = await scim.call('POST', '/Users', entraUser(loginOf(i), over));
    ids.set(i, body['id'] as string);
  }
  await scim.call('POST', '/Users', entraUser('newcomer', { [ENTERPRISE]: { employeeNumber: '999' } }));
  const members = [...ids.entries()].filter(([i]) => i !== 5).map(([, value]) => ({ value }));
  await scim.call('POST', '/Groups', { displayName: 'All', externalId: 'g-all', members });
  expect((await userOf(loginOf(1)))?.directory).toBe('ad');
  expect(await userOf('newcomer@corp.example')).toBeUndefined();
});

test('a dry run says who would move, who cannot and why, and whose rights would change', async () => {
  const before = JSON.stringify(await gateway.operator.call(api.users.list));
  const plan = await migrate();
  expect(plan.applied).toBe(false);
  expect(plan.users).toBe(COUNT);
  expect(plan.moves).toHaveLength(COUNT - 4);
  expect(Object.fromEntries(plan.conflicts.map(({ user, why }) => [user, why]))).toEqual({
    [loginOf(20)]: 'no account of entra has this employeeNumber',
    [loginOf(21)]: '2 accounts of entra have this employeeNumber',
    [loginOf(22)]: 'no account of entra has this employeeNumber',
    [loginOf(23)]: 'the account of entra is not active',
  });
  expect(plan.newcomers).toBe(3);
  expect(plan.rights).toHaveLength(COUNT - 4);
  expect(plan.rights[0]).toMatchObject({ lost: ['wiki'], gained: [] });
  expect(JSON.stringify(await gateway.operator.call(api.users.list))).toBe(before);
});

test('it is not done while rights would change; with the new groups mapped only the true differences are left', async () => {
  await expect(migrate({ apply: true })).rejects.toMatchObject({ status: 409 });
  const { operator } = gateway;
  await operator.call(api.policies.put, {
    params: { name: 'wiki' },
    body: {
      groups: ['all@ad', 'all@entra'],
      resources: ['wiki'],
      context: {},
    },
  });
  const plan = await migrate();
  expect(plan.rights).toEqual([{ user: loginOf(5), lost: ['wiki'], gained: [] }]);
  await scim.patch(`/Groups/${await groupId('All')}`, { op: 'Add', path: 'members', value: [{ value: ids.get(5) }] });
  expect((await migrate()).rights).toEqual([]);
});

async function groupId(name: string): Promise<string> {
  const { body } = await scim.call('GET', `/Groups?filter=${encodeURIComponent(`displayName eq "${name}"`)}`);
  return (body['Resources'] as { id: string }[])[0]!.id;
}

test('applied, users keep their ids, enrolments and sessions, and the new directory governs them', async () => {
  const before = (await userOf(loginOf(1)))!;
  const plan = await migrate({ apply: true });
  expect(plan).toMatchObject({ applied: true });
  expect(plan.moves).toHaveLength(COUNT - 4);
  const after = (await userOf(loginOf(1)))!;
  expect(after).toMatchObject({ id: before.id, name: before.name, directory: 'entra', groups: ['all@entra'] });
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  expect((await userOf(loginOf(20)))?.directory).toBe('ad');
  // Repeating it moves nobody twice.
  expect((await migrate({ apply: true })).moves).toEqual([]);
});

test('they sign in at the new provider on the device that is enrolled already', async () => {
  const { operator } = gateway;
  await operator.call(api.directories.put, {
    params: { name: 'entra-sign-in' },
    body: {
      kind: 'oidc',
      stage: 'active',
      settings: {
        issuer: provider.issuer,
        ca: provider.ca,
        clientId: CLIENT_ID,
        redirects: [REDIRECT],
        accounts: 'entra',
      },
      secrets: { clientSecret: CLIENT_SECRET },
    },
  });
  // The password of the old directory is none any more.
  const old = { user: loginOf(1), password: PERSON_PASSWORD };
  await expect(device.login(old)).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  await expect(signIn(loginOf(2))).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  await signIn(loginOf(1));
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
});

async function signIn(login: string): Promise<void> {
  await expect.poll(() => device.providers()).toHaveLength(1);
  const [entry] = (await device.providers()) as [StoredProvider];
  const { url, pending } = device.beginProviderSignIn(entry, REDIRECT);
  const browser = new PlainBrowser(provider.ca);
  const callback = await browser.signIn(url, login);
  await browser.close();
  await device.login(finishProviderSignIn(pending, callback));
}

test('what the old directory says of them counts no more; what the new one says does, at once', async () => {
  await root.del(dnOf(1, 'cn'));
  await sync(gateway.operator, 'ad');
  expect((await userOf(loginOf(1)))?.enabled).toBe(true);
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  const ended = new Promise((resolve) => device.on('ended', ({ code }) => resolve(code)));
  await scim.patch(`/Users/${ids.get(1)}`, { op: 'Replace', path: 'active', value: 'False' });
  expect(await ended).toBe('REVOKED');
});

test('activated, the newcomers become users too, and the old directory can go when nobody is left in it', async () => {
  const { operator } = gateway;
  await operator.call(api.directories.put, {
    params: { name: 'entra' },
    body: { kind: 'scim', stage: 'active', settings: {} },
  });
  expect(await userOf('newcomer@corp.example')).toMatchObject({ enabled: true, directory: 'entra' });
  await expect(operator.call(api.directories.remove, { params: { name: 'ad' } })).rejects.toMatchObject({
    status: 409,
  });
  for (const i of [20, 21, 22, 23]) await operator.call(api.users.disable, { params: { name: loginOf(i) } });
  await operator.call(api.directories.remove, { params: { name: 'ad' } });
  expect((await userOf(loginOf(2)))?.enabled).toBe(true);
});
