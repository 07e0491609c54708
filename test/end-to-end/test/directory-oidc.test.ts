import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Device,
  finishProviderSignIn,
  memoryStorage,
  type ProviderCredentials,
  type StoredProvider,
} from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import type { DirectoryInput } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { freePort, startSallyport } from '@sallyport/support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Backend, startBackend } from '../src/backend.ts';
import { lastRefusal, userNamed } from '../src/directory/operate.ts';
import { CLIENT_ID, CLIENT_SECRET, RealProvider } from '../src/directory/provider.ts';
import { PlainBrowser } from '../src/directory/provider-browser.ts';
import { entraUser, ScimClient } from '../src/directory/scim-client.ts';
import { CONTEXT, Gateway } from '../src/gateway.ts';
import { keptBySecurity } from '../src/kept-files.ts';

const REDIRECT = 'com.example.app:/signed-in';
let gateway: Gateway;
let provider: RealProvider;
let backend: Backend;

function input(settings: object = {}): Extract<DirectoryInput, { readonly kind: 'oidc' }> {
  return {
    kind: 'oidc',
    stage: 'active',
    settings: {
      issuer: provider.issuer,
      ca: provider.ca,
      clientId: CLIENT_ID,
      redirects: [REDIRECT],
      scope: 'openid profile',
      groupsClaim: 'groups',
      ...settings,
    },
    secrets: { clientSecret: CLIENT_SECRET },
  };
}

beforeAll(async () => {
  backend = await startBackend();
  const port = await freePort();
  gateway = await Gateway.start({ proxies: 1, environment: { SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${port}` } });
  const trust = join(gateway.folder, 'ca.pem');
  writeFileSync(trust, gateway.security.ready.ca!);
  const logoutUri = `https://127.0.0.1:${port}/oidc/idp/backchannel-logout`;
  provider = await RealProvider.start({ redirects: [REDIRECT], logoutUri, trust });
  const { operator } = gateway;
  await operator.call(api.directories.put, {
    params: { name: 'idp' },
    body: input({ operatorGroups: ['g-captains'] }),
  });
  const backendOf = { url: backend.url, networks: ['127.0.0.0/8'], delegate: { directory: 'idp', audience: 'wiki' } };
  await operator.call(api.resources.put, {
    params: { name: 'wiki' },
    body: { kind: 'http', authority: 'wiki.corp', backend: backendOf },
  });
});
afterAll(async () => {
  await gateway.stop();
  await provider.stop();
  await backend.close();
});

async function addUser(name: string): Promise<void> {
  await gateway.operator.call(api.users.put, { params: { name }, body: { directory: 'idp' } });
}

/** What a person brings back from the provider. */
async function signInAtProvider(
  device: Device,
  login: string,
  link?: string,
  browser?: PlainBrowser,
): Promise<ProviderCredentials> {
  const [entry] = (await device.providers(link)) as [StoredProvider];
  const { url, pending } = device.beginProviderSignIn(entry, REDIRECT);
  const used = browser ?? new PlainBrowser(provider.ca);
  const callback = await used.signIn(url, login);
  if (!browser) await used.close();
  return finishProviderSignIn(pending, callback);
}

async function enrolled(name: string, login = name, browser?: PlainBrowser): Promise<Device> {
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  const link = await gateway.link(name);
  await device.enroll(link, await signInAtProvider(device, login, link, browser));
  return device;
}

async function newUser(name: string): Promise<Device> {
  await addUser(name);
  return enrolled(name);
}

async function groupsOf(name: string): Promise<readonly string[]> {
  return (await userNamed(gateway.operator, name))!.groups;
}

test('test connection says in words what is wrong', async () => {
  const findings = async (settings: object = {}, secret = CLIENT_SECRET): Promise<{ ok: boolean; words: string }[]> => {
    await gateway.operator.call(api.directories.put, {
      params: { name: 'tried' },
      body: {
        ...input(settings),
        secrets: { clientSecret: secret },
      },
    });
    return await gateway.operator.call(api.directories.test, { params: { name: 'tried' } });
  };
  expect((await findings()).map(({ ok }) => ok)).toEqual([true, true, true, true, true]);
  const wrong = async (settings: object, secret?: string): Promise<string> =>
    (await findings(settings, secret)).find(({ ok }) => !ok)?.words ?? 'all is well';
  expect(await wrong({}, 'not the secret')).toContain('does not know them');
  expect(await wrong({ clientId: 'somebody-else' })).toContain('does not know them');
  expect(await wrong({ ca: undefined })).toMatch(/certificate/);
  expect(await wrong({ issuer: `https://127.0.0.1:${await freePort()}` })).toMatch(/ECONNREFUSED/);
  await gateway.operator.call(api.directories.remove, { params: { name: 'tried' } });
});

test('a user of the provider enrols by a code, and the account is bound to the user for ever', async () => {
  await addUser('ada');
  const device = await enrolled('ada');
  await device.login();
  expect(device.state).toBe('connected');
  device.close();
  // Another account of the provider does not open the user's session, whatever its name or mail says.
  const other = await signInAtProvider(device, 'mallory');
  await expect(device.login(other)).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  expect(await lastRefusal(gateway.operator)).toBe('the account at the provider is not the one of the user');
  await device.login(await signInAtProvider(device, 'ada'));
  device.close();
});

test('an account that does not name the user waits for an officer, and waiting costs no try of the code', async () => {
  await addUser('grace');
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  const link = await gateway.link('grace');
  for (let tries = 0; tries < 6; tries++)
    await expect(device.enroll(link, await signInAtProvider(device, 'hopper', link))).rejects.toMatchObject({
      code: 'CONFIRMATION_NEEDED',
    });
  expect(device.user).toBeUndefined();
  const waiting = (await gateway.operator.call(api.bindings.list))[0]!;
  expect(waiting.user).toBe('grace');
  await gateway.operator.call(api.bindings.confirm, { params: { id: waiting.id } });
  await device.enroll(link, await signInAtProvider(device, 'hopper', link));
  expect(device.user?.name).toBe('grace');
  device.close();
});

test('a code is good once, with its own verifier only, and the redirect that was agreed', async () => {
  const device = await newUser('bea');
  const used = await signInAtProvider(device, 'bea');
  await device.login(used);
  await expect(device.login(used)).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  expect(await lastRefusal(gateway.operator)).toBe('the sign-in at the provider is refused: code');
  const fresh = await signInAtProvider(device, 'bea');
  const stolen = { oidc: { ...fresh.oidc, verifier: 'x'.repeat(43) } };
  await expect(device.login(stolen)).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  const elsewhere = { oidc: { ...fresh.oidc, redirect: 'https://evil.example/' } };
  await expect(device.login(elsewhere)).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  expect(await lastRefusal(gateway.operator)).toBe('the sign-in at the provider is refused: redirect');
  await expect(device.login({ user: 'bea', password: 'x' })).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  device.close();
});

test('the device takes no answer that belongs to another sign-in or another provider', async () => {
  const device = await newUser('cleo');
  const [entry] = (await device.providers()) as [StoredProvider];
  const { pending } = device.beginProviderSignIn(entry, REDIRECT);
  const answer = (over: object): string =>
    `${REDIRECT}?${new URLSearchParams({ code: 'c', state: pending.state, iss: pending.issuer, ...over })}`;
  expect(finishProviderSignIn(pending, answer({})).oidc.code).toBe('c');
  for (const bad of [answer({ state: 'other' }), answer({ iss: 'https://evil.example' }), answer({ code: '' })])
    expect(() => finishProviderSignIn(pending, bad)).toThrow(expect.objectContaining({ code: 'SIGN_IN_FAILED' }));
  expect(() => device.beginProviderSignIn(entry, 'https://evil.example/')).toThrow(
    expect.objectContaining({ code: 'BAD_REQUEST' }),
  );
});

test('groups of the sign-in open resources, and the backend gets the token that the provider gave for it', async () => {
  const device = await newUser('captain-dora');
  await device.login();
  await device.login(await signInAtProvider(device, 'captain-dora'));
  expect(await groupsOf('captain-dora')).toEqual(['g-captains@idp', 'g-crew@idp']);
  await gateway.operator.call(api.policies.put, {
    params: { name: 'wiki' },
    body: {
      groups: ['g-captains@idp'],
      resources: ['wiki'],
      context: {},
    },
  });
  await device.login(await signInAtProvider(device, 'captain-dora'));
  const request = { headers: { authorization: 'Bearer forged by the device' } };
  const headers = (await (await device.fetch('http://wiki.corp/headers', request)).json()) as Record<string, string>;
  expect(headers['authorization']).toBe('Bearer for wiki captain-dora');
  device.close();
});

test('too many groups for a token are read from the endpoint that the operator set, else nobody comes in', async () => {
  await addUser('many');
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  const link = await gateway.link('many');
  await expect(device.enroll(link, await signInAtProvider(device, 'many', link))).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
  });
  expect(await lastRefusal(gateway.operator)).toContain('group overage, and no groups endpoint is set');
  const settings = { operatorGroups: ['g-captains'], groupsEndpoint: `${provider.issuer}/graph` };
  await gateway.operator.call(api.directories.put, { params: { name: 'idp' }, body: input(settings) });
  await device.enroll(link, await signInAtProvider(device, 'many', link));
  await device.login(await signInAtProvider(device, 'many'));
  expect(await groupsOf('many')).toHaveLength(300);
  device.close();
});

test('keys that are rolled over during use are seen at once', async () => {
  const device = await newUser('erna');
  await device.login();
  await provider.rotate();
  await device.login(await signInAtProvider(device, 'erna'));
  expect(device.state).toBe('connected');
  device.close();
});

test('a provider that is down takes nobody: sessions go on, sign-ins wait, the site map keeps it', async () => {
  const device = await newUser('captain-flora');
  await device.login();
  const credentials = await signInAtProvider(device, 'captain-flora');
  await device.login(credentials);
  const next = await signInAtProvider(device, 'captain-flora');
  await provider.fail(true);
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  await expect(device.login(next)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await gateway.operator.call(api.directories.test, { params: { name: 'idp' } });
  const { degraded } = await gateway.operator.call(api.status.get);
  expect(degraded.join('\n')).toContain('directory idp does not work since');
  expect(await device.providers()).toHaveLength(1);
  await provider.fail(false);
  await gateway.operator.call(api.directories.test, { params: { name: 'idp' } });
  expect((await gateway.operator.call(api.status.get)).degraded).toEqual([]);
  await device.login(await signInAtProvider(device, 'captain-flora'));
  device.close();
});

test('who signs out at the provider is signed out here, and only they', async () => {
  const browser = new PlainBrowser(provider.ca);
  const device = await newUser('greta');
  const other = await newUser('helga');
  await device.login(await signInAtProvider(device, 'greta', undefined, browser));
  await other.login();
  const ended = new Promise((resolve) => device.on('ended', ({ code }) => resolve(code)));
  // Two pages: "do you want to sign out?", and its answer.
  await browser.signOut(provider.endSession);
  expect(await ended).toBe('REVOKED');
  expect(other.state).toBe('connected');
  await browser.close();
  other.close();
});

test('a logout token that nobody signed, or for somebody else, ends nothing', async () => {
  const url = `/oidc/idp/backchannel-logout`;
  const post = (body: string): Promise<number> => gateway.directoryCall(url, body);
  expect(await post('')).toBe(400);
  expect(await post('logout_token=x')).toBe(400);
  expect(await post(`logout_token=${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`)).toBe(400);
  expect(await gateway.directoryCall('/oidc/nobody/backchannel-logout', 'logout_token=x')).toBe(404);
});

test('a sign-in that is not strong enough is told so, and the audit log names the demand', async () => {
  const device = await newUser('ida');
  const groups = { operatorGroups: ['g-captains'], groupsEndpoint: `${provider.issuer}/graph` };
  for (const [demand, name] of [
    [{ acr: ['urn:example:high'] }, 'acr'],
    [{ amr: ['mfa'] }, 'amr'],
    [{ tenant: 'another' }, 'tenant'],
  ] as const) {
    await gateway.operator.call(api.directories.put, {
      params: { name: 'idp' },
      body: input({ ...groups, ...demand }),
    });
    const code = name === 'tenant' ? 'CREDENTIALS_INVALID' : 'STEP_UP';
    await expect(device.login(await signInAtProvider(device, 'ida'))).rejects.toMatchObject({ code });
    expect(await lastRefusal(gateway.operator)).toBe(`the sign-in at the provider is refused: ${name}`);
  }
  await gateway.operator.call(api.directories.put, { params: { name: 'idp' }, body: input(groups) });
  await device.login(await signInAtProvider(device, 'ida'));
  device.close();
});

test('neither the client secret nor a delegated token stands anywhere in database or logs', async () => {
  await gateway.operator.call(api.directories.put, {
    params: { name: 'push' },
    body: { kind: 'scim', stage: 'staged', settings: {} },
  });
  const { token } = await gateway.operator.call(api.directories.token, { params: { name: 'push' }, body: {} });
  const contents = keptBySecurity(gateway);
  // The scan can find: the name of a group of the provider is no secret and is there.
  expect(contents.some((content) => content.includes('g-captains@idp'))).toBe(true);
  for (const secret of [CLIENT_SECRET, 'for wiki captain-dora', token as string])
    expect(
      contents.some((content) => content.includes(secret)),
      secret,
    ).toBe(false);
});

test('who has moved to another directory does not come in by the old one any more', async () => {
  const device = await newUser('jana');
  await device.login();
  const { operator } = gateway;
  const { token, url } = await operator.call(api.directories.token, { params: { name: 'push' }, body: {} });
  const scim = new ScimClient(url as string, gateway.security.ready.ca!, token as string);
  await scim.call('POST', '/Users', entraUser('jana', { externalId: 'jana' }));
  await scim.close();
  const body = { from: 'idp', to: 'push', match: ['subject', 'externalId'] as const, apply: true, acceptRights: true };
  const { moves } = await operator.call(api.directories.migrate, { body });
  expect(moves).toEqual([expect.objectContaining({ user: 'jana', from: 'jana' })]);
  await expect(device.login(await signInAtProvider(device, 'jana'))).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
  });
  expect(await lastRefusal(operator)).toBe('the account at the provider is not the one of the user');
  device.close();
});

test('a directory whose accounts are known cannot become another one under the same name', async () => {
  const put = gateway.operator.call(api.directories.put, {
    params: { name: 'idp' },
    body: input({ subjectClaim: 'email' }),
  });
  await expect(put).rejects.toMatchObject({ status: 409 });
});

test('operators sign in at the provider in their browser, if its groups say so', async () => {
  const run = async (login: string): Promise<string> => {
    const ca = join(gateway.folder, 'ca.pem');
    const args = [
      '--data',
      join(gateway.folder, login),
      'login',
      gateway.security.ready.adminUrl!,
      '--ca',
      ca,
      '--provider',
      'idp',
    ];
    const { child, output } = await startSallyport(args, /https:\/\/\S+\/auth\?\S+\n/);
    const [url = ''] = /https:\/\/\S+\/auth\?\S+/.exec(output()) ?? [];
    const browser = new PlainBrowser(provider.ca);
    const callback = await browser.signIn(url, login);
    const ended = new Promise((resolve) => child.once('close', resolve));
    await (await fetch(callback)).text();
    await ended;
    await browser.close();
    return output();
  };
  expect(await run('captain-dora')).toContain('you are operator captain-dora');
  expect(await run('ada')).toContain('you are no operator of this gateway');
  expect(await lastRefusal(gateway.operator)).toBe('in no group of operators');
  // Who leaves is no operator either.
  await gateway.operator.call(api.users.disable, { params: { name: 'captain-dora' } });
  const { sallyport } = await import('@sallyport/support');
  const { stderr } = await sallyport(['--data', join(gateway.folder, 'captain-dora'), 'user', 'list']);
  expect(stderr).toContain('an operator credential is needed');
  // A level that is demanded of them is asked for.
  await gateway.operator.call(api.directories.put, {
    params: { name: 'idp' },
    body: input({ acr: ['urn:example:high'] }),
  });
  const output = await run('ada');
  expect(output).toContain('acr_values=urn%3Aexample%3Ahigh');
  expect(output).not.toContain('you are operator');
});

test('an answer that names another issuer, or none, makes nobody an operator', async () => {
  const { operator } = gateway;
  await operator.call(api.directories.put, {
    params: { name: 'idp' },
    body: input({ operatorGroups: ['g-captains'] }),
  });
  const device = await newUser('captain-nemo');
  const [entry] = (await device.providers()) as [StoredProvider];
  const redirect = 'http://127.0.0.1:49152/';
  const answer = async (): Promise<ProviderCredentials['oidc']> => {
    const { url, pending } = device.beginProviderSignIn({ ...entry, redirects: [redirect] }, redirect);
    const browser = new PlainBrowser(provider.ca);
    const { oidc } = finishProviderSignIn(pending, await browser.signIn(url, 'captain-nemo'));
    await browser.close();
    return oidc;
  };
  const post = async (body: object) => (await operator.raw('POST', '/v1/operators/oidc', body)).status;
  const { issuer, ...without } = await answer();
  expect(issuer).toBe(provider.issuer);
  expect(await post({ ...(await answer()), issuer: 'https://evil.example' })).toBe(403);
  expect(await post(without)).toBe(403);
  await expect
    .poll(async () => JSON.stringify(await operator.call(api.audit.list, { query: { limit: '20' } })))
    .toMatch(/operator\.login.{1,200}refused: issuer|refused: issuer.{1,200}operator\.login/);
  // With what the provider really answered the group is looked at.
  expect(await post(await answer())).toBe(200);
  device.close();
});
