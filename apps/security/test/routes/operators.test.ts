import { Readable } from 'node:stream';
import { endPublisher, findUser, issuePublisher } from '@sallyport/access';
import { expect, test, vi } from 'vitest';
import { createAdminService } from '../../src/app.ts';
import { DATABASE, scene } from '../scene.ts';

async function admin() {
  const { context, clock, token } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const shared = { kind: 'in-process', server: () => '' } as const;
  const service = await createAdminService({ ...context, version: '0', database: DATABASE, shared }, certificate);
  const call = async (
    method: 'GET' | 'POST' | 'PUT',
    url: string,
    { bearer = token, body, reason = 'unit test' }: { bearer?: string; body?: object; reason?: string } = {},
  ) => {
    const headers = { authorization: `bearer ${bearer}`, ...(reason ? { 'sallyport-reason': reason } : {}) };
    const answer = await service.inject({ method, url, headers, ...(body ? { payload: body } : {}) });
    return { status: answer.statusCode, json: answer.json() };
  };
  const audit = () => context.access.store.transaction(({ tables }) => tables.audit.list());
  return { context, clock, call, audit, service };
}

test('an invitation needs a reason, and its operator is listed, named and ended', async () => {
  const { call } = await admin();
  expect((await call('POST', '/v1/operators/ben/invite', { reason: '' })).status).toBe(400);
  const { json: invitation } = await call('POST', '/v1/operators/ben/invite');
  const wrong = { token: invitation.token, name: 'eve' };
  expect((await call('POST', '/v1/operators/login', { body: wrong })).status).toBe(422);
  const { json: ben } = await call('POST', '/v1/operators/login', { body: { token: invitation.token } });
  expect(ben.name).toBe('ben');
  expect((await call('GET', '/v1/operators', { bearer: ben.token })).json).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ name: 'ben', state: 'active', invitedBy: 'olga', endsAt: null }),
    ]),
  );
  expect((await call('POST', '/v1/operators/ben/end', { reason: '' })).status).toBe(400);
  expect((await call('POST', '/v1/operators/ben/end')).json).toEqual({ ended: ['ben'], invited: [] });
  expect((await call('GET', '/v1/operators', { bearer: ben.token })).status).toBe(401);
});

test('the credential of a pipeline is told that it may only publish, and does; once it is over it is none', async () => {
  const { context, call } = await admin();
  const by = { actor: 'olga', reason: 'unit test' };
  const { token: bearer } = await issuePublisher(context.access, 'ci', by);
  const { status, json } = await call('GET', '/v1/apps', { bearer });
  expect({ status, ...json }).toMatchObject({
    ...{ status: 403, code: 'ERR_SECURITY_OPERATOR' },
    title: 'the credential of the publisher ci may only publish: ask with one of an operator',
  });
  expect((await call('PUT', '/v1/users/eve', { bearer, body: {} })).status).toBe(403);
  const release = { sha256: '0'.repeat(64) };
  expect((await call('POST', '/v1/releases', { bearer, body: release })).status).not.toBe(403);
  await endPublisher(context.access, 'ci', by);
  expect((await call('GET', '/v1/apps', { bearer })).status).toBe(401);
});

test('an operator who is ended while a body is on its way changes nothing', async () => {
  const { context, call, service } = await admin();
  const { json: invitation } = await call('POST', '/v1/operators/ben/invite');
  const { json: ben } = await call('POST', '/v1/operators/login', { body: { token: invitation.token } });
  const headers = { authorization: `bearer ${ben.token}`, 'sallyport-reason': 'unit test' };
  let ended = 0;
  // A body is read once its sender was let in.
  const payload = new Readable({
    read() {
      void call('POST', '/v1/operators/ben/end').then(({ status }) => {
        ended = status;
        this.push('{"displayName":"Eve"}');
        this.push(null);
      });
    },
  });
  const type = { 'content-type': 'application/json' };
  const late = await service.inject({ method: 'PUT', url: '/v1/users/eve', headers: { ...headers, ...type }, payload });
  expect([ended, late.statusCode]).toEqual([200, 401]);
  expect(await findUser(context.access, 'eve')).toBeUndefined();
});

test('a credential in use is renewed', async () => {
  const { call } = await admin();
  const { json: renewed } = await call('POST', '/v1/operators/renew');
  expect((await call('GET', '/v1/operators', { bearer: renewed.token })).status).toBe(200);
  expect((await call('GET', '/v1/operators')).status).toBe(401);
});

test('wrong one-time tokens and credentials are on record: some at once, then one sum for each source', async () => {
  const { context, call, audit } = await admin();
  for (let i = 0; i < 3; i++) {
    expect((await call('POST', '/v1/operators/login', { body: { token: 'sp1_wrong', name: 'eve' } })).status).toBe(403);
    expect((await call('GET', '/v1/users', { bearer: 'spo_wrong' })).status).toBe(401);
  }
  await context.refusals.flush();
  const refused = (await audit()).filter(({ outcome }) => outcome === 'refused');
  expect(refused.map(({ actor, action, reason }) => [actor, action, reason])).toEqual(
    expect.arrayContaining([
      ['address 127.0.0.1', 'operator.login', 'the one-time token is unknown, used or expired'],
      ['address 127.0.0.1', 'operator.login', 'the one-time token is unknown, used or expired (2 times)'],
      ['address 127.0.0.1', 'operator', 'the credential is not good'],
      ['address 127.0.0.1', 'operator', 'the credential is not good (2 times)'],
    ]),
  );
  expect(refused).toHaveLength(4);
  expect(JSON.stringify(refused)).not.toMatch(/sp1_|spo_/);
});

test('made-up one-time tokens and credentials touch no database, and lock no operator out', async () => {
  const { context, call } = await admin();
  const { json: invitation } = await call('POST', '/v1/operators/ben/invite');
  // The first refusals of each minute are written at once.
  for (let i = 0; i < 20; i++) context.refusals.note({ action: 'x', subject: 'x', why: 'x', address: `10.0.0.${i}` });
  const transactions = vi.spyOn(context.access.store, 'transaction');
  const made = `sp1_${'A'.repeat(60)}`;
  for (let i = 0; i < 200; i++) {
    expect((await call('POST', '/v1/operators/login', { body: { token: made } })).status).toBe(403);
    expect((await call('GET', '/v1/users', { bearer: `spo_${'A'.repeat(60)}` })).status).toBe(401);
  }
  expect(transactions).not.toHaveBeenCalled();
  transactions.mockRestore();
  expect((await call('POST', '/v1/operators/login', { body: { token: invitation.token } })).status).toBe(200);
});

test('a flood of refusals from many addresses is few rows', async () => {
  const { context, audit } = await admin();
  for (let i = 0; i < 5_000; i++) {
    const address = `10.0.${i >> 8}.${i & 255}`;
    context.refusals.note({ action: 'operator', subject: 'admin API', why: 'no credential', address });
  }
  await context.refusals.flush();
  const rows = (await audit()).filter(({ outcome }) => outcome === 'refused');
  expect(rows.length).toBeLessThanOrEqual(210);
  const counted = rows.map(({ reason }) => Number(/\((\d+) times\)/.exec(reason)?.[1] ?? 1));
  expect(counted.reduce((sum, count) => sum + count, 0)).toBe(5_000);
});

test('strangers learn of no directory but a provider in use, and cost it nothing', async () => {
  const { context, clock, call } = await admin();
  const settings = { issuer: 'https://idp.invalid', clientId: 'c', redirects: ['app:/x'] };
  const put = (name: string, over: object, stage = 'active') =>
    call('PUT', `/v1/directories/${name}`, { body: { kind: 'oidc', stage, settings: { ...settings, ...over } } });
  await put('staged', { operatorGroups: ['g'] }, 'staged');
  await call('PUT', '/v1/directories/pushed', { body: { kind: 'scim', stage: 'active', settings: {} } });
  expect((await put('idp', { operatorGroups: ['g'] })).status).toBe(200);
  clock.now += 1_000;
  const of = (name: string) => call('GET', `/v1/operators/providers/${name}`, { bearer: '' });
  const words = await Promise.all(['staged', 'pushed', 'none'].map(of));
  expect(words.map(({ status }) => status)).toEqual([404, 404, 404]);
  // Nobody has visited it yet: it is not asked now.
  expect((await of('idp')).status).toBe(503);
  await context.access.store.transaction(({ tables }) =>
    tables.directories.update(
      { where: { name: 'idp' } },
      { state: { provider: { authorizationEndpoint: 'https://idp.invalid/auth' } } },
    ),
  );
  clock.now += 1_000;
  expect((await of('idp')).json.authorizationEndpoint).toBe('https://idp.invalid/auth');
  // However many ask, the database is looked at once a second.
  const { access } = context;
  const transactions = vi.spyOn(access.store, 'transaction');
  clock.now += 1_000;
  const crowd = await Promise.all(Array.from({ length: 200 }, (_, i) => of(i % 2 === 0 ? 'idp' : `made-up-${i}`)));
  expect(crowd.filter(({ status }) => status === 200)).toHaveLength(100);
  expect(transactions).toHaveBeenCalledTimes(1);
  transactions.mockRestore();
  expect((await call('POST', '/v1/operators/oidc', { body: {} })).status).toBe(400);
});

test('revoking a version of an app that nobody ever had is done, and doubted', async () => {
  const { call, context } = await admin();
  const revoke = (id: string) =>
    call('PUT', `/v1/revocations/${id}`, {
      body: { kind: 'app', subject: 'com.example.phone@1', reason: 'unit test' },
    });
  expect((await revoke('revocation-1')).json).toMatchObject({
    inForce: true,
    doubt: 'no installation and no session ever had com.example.phone@1: is the version right?',
  });
  await context.access.store.transaction(({ tables }) =>
    tables.installations.insert({
      id: 'i',
      userId: 'u',
      deviceStatic: new Uint8Array(32),
      signingKey: {},
      status: 'active',
      generation: 0,
      currentKey: new Uint8Array(32),
      nextKey: null,
      previousKey: null,
      rotatedAt: 1,
      app: 'com.example.phone@1',
      model: 'm',
      createdAt: 1,
      lastSeenAt: null,
      resumeId: null,
    }),
  );
  expect((await revoke('revocation-2')).json).not.toHaveProperty('doubt');
});

test("a Proxy is revoked by its own call only, which waits for all of it; numbers of generations are nobody's to write", async () => {
  const { call } = await admin();
  for (const kind of ['proxy', 'generation']) {
    const answer = await call('PUT', `/v1/revocations/${kind}-revocation`, {
      body: { kind, subject: 'p1', reason: 'unit test' },
    });
    expect(answer.status, kind).toBe(400);
  }
});
