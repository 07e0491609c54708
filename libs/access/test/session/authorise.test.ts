import { randomUUID } from 'node:crypto';
import {
  DeviceOpening,
  decodeHello,
  deriveSessionSecret,
  encodeText,
  formatHex,
  keyOf,
  openRoutes,
  type SharedKey,
} from '@sallyport/channel';
import { isRefusedVersion } from '@sallyport/lease';
import { MAX_BLOCKED_VERSIONS, SPENT_EVIDENCE_MS } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  type Authorisation,
  authorise,
  blockedWords,
  bumpMapVersion,
  changePolicy,
  changeResource,
  changeSettings,
  createSession,
  disableUser,
  drainSite,
  explainRights,
  getApp,
  type HelloRequest,
  issueCode,
  issueJoinToken,
  type JoinOrder,
  keyCandidates,
  leaseKeyOf,
  moveProxy,
  PolicyCache,
  PURPOSES,
  proxyOfBeat,
  putApp,
  putGroup,
  putPolicy,
  putResource,
  putSite,
  putUser,
  reauthorise,
  redeemJoinToken,
  renewProxy,
  revoke,
  revokeProxy,
} from '../../src/index.ts';
import { BY, enrolWithPassword, scene } from '../scene.ts';

const CONTEXT = {
  id: 'a',
  version: '1',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '1',
  osPatch: '',
  model: 'm',
  posture: {},
  sdk: 'test',
};
/** Stands for the hash of a Proxy's key. */
const KEY = 'f0'.repeat(32);
const HERE = { name: 'p1', keyHash: KEY, site: 'here', instance: '1'.repeat(32) };
const LEASE = {
  applied: 0,
  expiresAt: 0,
  channels: 1,
  beat: 1,
  leaseMs: 15_000,
  node: 'n1',
  requests: 0,
  bytes: 0,
  rttMs: null,
};
const BACKEND = { url: 'http://127.0.0.1:1', networks: [] };
const AT_LEDGER = { kind: 'http', authority: 'ledger.corp', backend: BACKEND } as const;

/** A realm with sessions of users, and HELLOs of them. */
async function signedIn(users: readonly string[]) {
  const { access } = await scene();
  await putSite(access, { name: 'here', origins: [] }, BY);
  await putGroup(access, 'staff', BY);
  await putResource(access, 'wiki', { kind: 'http', authority: 'wiki.corp', backend: BACKEND }, BY);
  await putPolicy(access, 'wiki', { groups: ['staff'], resources: ['wiki'], context: {} }, BY);
  for (const name of ['p1', 'p2']) await join(access, { name, site: 'here' }, KEY);
  const sessions = new Map<string, { sid: Uint8Array; secret: ReturnType<typeof deriveSessionSecret> }>();
  for (const [i, name] of users.entries()) {
    await putUser(access, name, { password: 'pw', groups: name === 'bob' ? [] : ['staff'] }, BY);
    const { code } = await issueCode(access, name, undefined, BY);
    const device = new Uint8Array(32).fill(i + 1);
    const enrolled = await enrolWithPassword(access, {
      user: name,
      password: 'pw',
      signingKey: { kty: 'EC', x: name },
      sharedKey: keyOf<SharedKey>(device),
      app: 'a@1',
      model: 'm',
      code,
      deviceStatic: device,
    });
    if (enrolled.status !== 'ok') throw new Error(enrolled.code);
    const [used] = keyCandidates(access.store.realm, access.keyring, enrolled.installation);
    const outcome = { handshakeHash: device, clientRandom: device, serverRandom: device, kemSecret: device };
    const request = { installationId: enrolled.installation.id, used: used!, outcome, app: 'a@1' };
    const session = await createSession(access, request);
    sessions.set(name, { sid: session!.sid, secret: deriveSessionSecret(access.crypto, outcome, session!.sid) });
  }
  const hello = (name: string, chanNo: number, over: { secret?: Uint8Array; audience?: string } = {}) => {
    const { sid, secret } = sessions.get(name)!;
    const opening = new DeviceOpening({
      crypto: access.crypto,
      secret: keyOf<typeof secret>(over.secret ?? secret),
      hello: {
        suite: 1,
        sid,
        chanNo,
        nonce: new Uint8Array(16),
        audience: encodeText(over.audience ?? 'main/here'),
      },
      context: CONTEXT,
    });
    return { hello: decodeHello(opening.writeHello()), requestId: `${name}-${chanNo}` };
  };
  const cache = new PolicyCache();
  const ask = async (requests: readonly HelloRequest[], holder = HERE) =>
    (await authorise(access, cache, { requests, holder })) ?? [];
  const of = (name: string) => sessions.get(name)!;
  return {
    access,
    hello,
    ask,
    cache,
    sidOf: (name: string) => of(name).sid,
    secretOf: (name: string) => of(name).secret,
  };
}

async function join(access: AccessContext, order: JoinOrder, keyHash: string): Promise<void> {
  expect(await redeemJoinToken(access, await issueJoinToken(access, order, BY), keyHash)).toBeDefined();
}

const said = (answer: Authorisation): string =>
  answer.status === 'granted' ? `granted to ${answer.grant.userName}` : answer.hint;

test('HELLOs of one batch are judged one by one, and answered in their order', async () => {
  const { hello, ask } = await signedIn(['ada', 'bob', 'eve']);
  const unknown = hello('ada', 9);
  const answers = await ask([
    hello('ada', 5),
    hello('bob', 1, { secret: new Uint8Array(32) }),
    hello('bob', 1, { audience: 'main/there' }),
    hello('eve', 7),
    { ...unknown, hello: { ...unknown.hello, sid: new Uint8Array(16) } },
    hello('bob', 2),
  ]);
  expect(answers.map(said)).toEqual([
    'granted to ada',
    'SESSION_UNKNOWN',
    'DENIED',
    'granted to eve',
    'SESSION_UNKNOWN',
    'granted to bob',
  ]);
  const resources = answers.map((answer) => (answer.status === 'granted' ? answer.grant.resources.length : undefined));
  expect(resources).toEqual([1, undefined, undefined, 1, undefined, 0]);
});

test('a channel number is never used twice, not even by two HELLOs of one batch', async () => {
  const { hello, ask } = await signedIn(['ada']);
  const again = { ...hello('ada', 5), requestId: 'another request' };
  const answers = await ask([hello('ada', 5), again, hello('ada', 4), hello('ada', 6)]);
  expect(answers.map(said)).toEqual(['granted to ada', 'CHAN_REPLAY', 'CHAN_REPLAY', 'granted to ada']);
  expect((await ask([hello('ada', 5)])).map(said)).toEqual(['CHAN_REPLAY']);
});

test('a request that is repeated with its id gets the same answer, in the same batch or later', async () => {
  const { hello, ask } = await signedIn(['ada']);
  const keysOf = (answers: readonly Authorisation[]) =>
    answers.map((answer) =>
      answer.status === 'granted' ? Buffer.from(answer.channelKey).toString('hex') : said(answer),
    );
  const [first, second] = keysOf(await ask([hello('ada', 5), hello('ada', 5)]));
  expect(second).toBe(first);
  expect(keysOf(await ask([hello('ada', 5)]))).toEqual([first]);
});

test('sessions that were revoked or whose user is disabled are unknown; the others of the batch are not touched', async () => {
  const { access, hello, ask, sidOf } = await signedIn(['ada', 'bob', 'eve']);
  const subject = Buffer.from(sidOf('ada')).toString('hex');
  await revoke(access, { requestId: 'r1', kind: 'session', subject }, BY);
  await disableUser(access, 'bob', 'r2', BY);
  const answers = await ask([hello('ada', 1), hello('bob', 1), hello('eve', 1)]);
  expect(answers.map(said)).toEqual(['SESSION_UNKNOWN', 'SESSION_UNKNOWN', 'granted to eve']);
  const { grant, asOfHash } = answers.find((answer) => answer.status === 'granted')!;
  const realm = await access.store.transaction(({ tables }) => tables.realms.find({ id: 'realm' }));
  expect(grant.asOf).toBe(realm!.head);
  expect(asOfHash).toBe(realm!.headHash);
});

test('a secret that this node cannot unwrap is "later" for its device, and nothing to the others', async () => {
  const { access, hello, ask, sidOf } = await signedIn(['ada', 'eve']);
  const id = Buffer.from(sidOf('ada')).toString('hex');
  await access.store.transaction(async ({ tables }) => {
    const row = (await tables.sessions.find({ id }))!;
    const otherKek = Uint8Array.from(row.secret!).fill(9, 0, 4);
    await tables.sessions.update({ where: { id } }, { secret: otherKek });
  });
  const answers = await ask([hello('ada', 1), hello('eve', 1)]);
  expect(answers.map(said)).toEqual(['UNAVAILABLE', 'granted to eve']);
});

test('grants belong to who opened the channel: no other Proxy, process or site gets one for a session id', async () => {
  const { access, hello, ask, cache, sidOf } = await signedIn(['ada']);
  const granted = await ask([hello('ada', 1)]);
  expect(granted.map(said)).toEqual(['granted to ada']);
  await access.store.transaction(({ tables }) =>
    tables.leases.insertEach(
      [leaseKeyOf('p1', HERE.instance), leaseKeyOf('p2', HERE.instance)].map((proxy) => ({ ...LEASE, proxy })),
    ),
  );
  const sid = Buffer.from(sidOf('ada')).toString('hex');
  const read = async (over: object) => {
    const [rights] = await reauthorise(access, cache, { sids: [sid], holder: { ...HERE, ...over } });
    return typeof rights === 'object' ? rights.grant.userName : rights;
  };
  expect(await read({})).toBe('ada');
  for (const other of [{ name: 'p2' }, { instance: '2'.repeat(32) }, { site: 'branch' }])
    expect(await read(other)).toBe('not its channel');
  await revoke(access, { requestId: 'r1', kind: 'session', subject: sid }, BY);
  // Who has no channel does not even hear that the session is over.
  expect(await read({})).toBe('over');
  expect(await read({ name: 'p2' })).toBe('not its channel');
  await access.store.transaction(({ tables }) => tables.leases.remove({}));
  expect(await read({ name: 'p1' })).toBe('over');
});

test('rights of many channels are read together, and each answer is its own', async () => {
  const { access, hello, ask, cache, sidOf } = await signedIn(['ada', 'bob', 'eve', 'joe']);
  await ask([hello('ada', 1), hello('bob', 1), hello('eve', 1)]);
  await access.store.transaction(({ tables }) =>
    tables.leases.insert({ ...LEASE, proxy: leaseKeyOf('p1', HERE.instance) }),
  );
  const sids = ['bob', 'joe', 'ada', 'eve', 'ada'].map((name) => formatHex(sidOf(name)));
  await revoke(access, { requestId: 'r1', kind: 'session', subject: sids[3]! }, BY);
  const read = async (holder = HERE) =>
    (await reauthorise(access, cache, { sids: ['0'.repeat(32), ...sids], holder })).map((rights) =>
      typeof rights === 'string' ? rights : [rights.grant.userName, rights.grant.resources.map(({ name }) => name)],
    );
  const ada = ['ada', ['wiki']];
  expect(await read()).toEqual(['not its channel', ['bob', []], 'not its channel', ada, 'over', ada]);
  expect(new Set(await read({ ...HERE, name: 'p2' }))).toEqual(new Set(['not its channel']));
});

test('what users delegated for backends goes only to Proxies of the site where the backend is', async () => {
  const { access, hello, ask, sidOf } = await signedIn(['ada']);
  await putSite(access, { name: 'b', origins: [] }, BY);
  await putResource(access, 'ledger', { ...AT_LEDGER, sites: ['b'] }, BY);
  await putResource(access, 'both', { ...AT_LEDGER, authority: 'both.corp', sites: null }, BY);
  await changePolicy(access, 'wiki', { addResources: ['ledger', 'both'] }, BY);
  await join(access, { name: 'p3', site: 'b' }, KEY);
  const id = formatHex(sidOf('ada'));
  const tokens = ['wiki', 'ledger', 'both'].map((resource) => ({ resource, token: `of-${resource}`, expiresAt: 2e12 }));
  const purpose = PURPOSES.delegated(access.store.realm, id);
  const delegated = access.keyring.wrap(encodeText(JSON.stringify(tokens)), purpose);
  await access.store.transaction(({ tables }) => tables.sessions.update({ where: { id } }, { delegated }));
  const given = async (answers: Promise<readonly Authorisation[]>) => {
    const [answer] = await answers;
    if (answer?.status !== 'granted') throw new Error('not granted');
    return answer.grant.resources.map((resource) => [resource.name, resource.delegated]);
  };
  expect(await given(ask([hello('ada', 1)]))).toEqual([
    ['both', 'of-both'],
    ['wiki', 'of-wiki'],
  ]);
  const there = { ...HERE, name: 'p3', site: 'b' };
  expect(await given(ask([hello('ada', 2, { audience: 'main/b' })], there))).toEqual([
    ['both', 'of-both'],
    ['ledger', 'of-ledger'],
  ]);
});

test('what a process opened goes with its lease row', async () => {
  const { access, hello, ask, cache, sidOf } = await signedIn(['ada']);
  await ask([hello('ada', 1)]);
  const sid = Buffer.from(sidOf('ada')).toString('hex');
  expect(await reauthorise(access, cache, { sids: [sid], holder: HERE })).toEqual(['no channel']);
});

test.each([
  ['revoked', (access: AccessContext) => revokeProxy(access, 'p1', BY)],
  ['replaced', (access: AccessContext) => join(access, { name: 'p1', site: 'here', replace: true }, '0f'.repeat(32))],
  [
    'moved to another site',
    (access: AccessContext) => join(access, { name: 'p1', site: 'branch', replace: true, moveSite: true }, KEY),
  ],
  [
    'given another site by an operator',
    async (access: AccessContext) => {
      await putSite(access, { name: 'branch', origins: [] }, BY);
      await moveProxy(access, { name: 'p1', site: 'branch' }, BY);
    },
  ],
  [
    'given another key, by which it has beaten',
    async (access: AccessContext) => {
      const key = { name: 'p1', keyHash: '0f'.repeat(32) };
      expect(await renewProxy(access, HERE, key.keyHash)).toBeDefined();
      await access.store.transaction((transaction) => proxyOfBeat(transaction, key));
    },
  ],
])('a Proxy that was identified just before it was %s gets no grant, and opens nothing', async (_what, end) => {
  const { access, hello, ask, cache, sidOf } = await signedIn(['ada']);
  expect((await ask([hello('ada', 1)])).map(said)).toEqual(['granted to ada']);
  await access.store.transaction(({ tables }) =>
    tables.leases.insert({ ...LEASE, proxy: leaseKeyOf('p1', HERE.instance) }),
  );
  const sid = Buffer.from(sidOf('ada')).toString('hex');
  await end(access);
  // As a node does that has looked at its certificate a moment ago.
  expect(await authorise(access, cache, { requests: [hello('ada', 2)], holder: HERE })).toBeUndefined();
  expect(await reauthorise(access, cache, { sids: [sid], holder: HERE })).toEqual(['no proxy']);
  const { chanNo } = (await access.store.transaction(({ tables }) => tables.sessions.find({ id: sid })))!;
  expect(chanNo).toBe(1);
});

test('a Proxy gets what its own site has; one whose site does not exist gets nothing', async () => {
  const { access, hello, ask } = await signedIn(['ada']);
  const names = async (chanNo: number) => {
    const [answer] = await ask([hello('ada', chanNo)]);
    return answer?.status === 'granted' ? answer.grant.resources.map(({ name }) => name) : answer?.hint;
  };
  expect(await names(1)).toEqual(['wiki']);
  await putSite(access, { name: 'b', origins: [] }, BY);
  await changeResource(access, 'wiki', { sites: ['b'] }, BY);
  expect(await names(2)).toEqual([]);
  await changeResource(access, 'wiki', { sites: ['b', 'here'] }, BY);
  expect(await names(3)).toEqual(['wiki']);
  await changePolicy(access, 'wiki', { notSites: ['here'] }, BY);
  expect(await names(4)).toEqual([]);
  await changePolicy(access, 'wiki', { notSites: null, sites: ['here'] }, BY);
  expect(await names(5)).toEqual(['wiki']);
  await changeResource(access, 'wiki', { sites: null }, BY);
  expect(await names(6)).toEqual(['wiki']);
  await access.store.transaction(({ tables }) => tables.sites.remove({}));
  await bump(access);
  expect(await names(7)).toEqual([]);
});

test('where sessions reach what is told to the device alone, in the grant and when rights are read again', async () => {
  const { access, hello, ask, cache, sidOf, secretOf } = await signedIn(['ada']);
  const sid = formatHex(sidOf('ada'));
  const routesIn = (of: { readonly routes: Uint8Array | undefined }) =>
    of.routes && openRoutes(access.crypto, { secret: secretOf('ada'), sid: sidOf('ada') }, of.routes);
  const [alone] = await ask([hello('ada', 1)]);
  // One site: nothing to choose, and nothing is sent.
  expect(alone).toMatchObject({ status: 'granted', routes: undefined });
  await putSite(access, { name: 'b', origins: [] }, BY);
  await putResource(access, 'ledger', { ...AT_LEDGER, sites: ['b', 'here'] }, BY);
  await putResource(access, 'payroll', { ...AT_LEDGER, authority: 'payroll.corp', sites: ['b'] }, BY);
  await changePolicy(access, 'wiki', { addResources: ['ledger', 'payroll'] }, BY);
  const [answer] = await ask([hello('ada', 2)]);
  if (answer?.status !== 'granted') throw new Error('not granted');
  expect(answer.grant.resources.map(({ name }) => name)).toEqual(['ledger', 'wiki']);
  const places = (routes: ReturnType<typeof routesIn>) => routes?.routes.map(({ name, sites }) => [name, sites]);
  const all = [
    ['ledger', [['b'], ['here']]],
    ['payroll', [['b']]],
    ['wiki', [['here']]],
  ];
  expect(places(routesIn(answer))).toEqual(all);
  const read = async () => {
    const [rights] = await reauthorise(access, cache, { sids: [sid], holder: HERE });
    if (typeof rights !== 'object') throw new Error(rights);
    return rights;
  };
  await access.store.transaction(({ tables }) => tables.leases.insert({ proxy: `p1/${HERE.instance}`, ...LEASE }));
  const again = await read();
  expect(places(routesIn(again))).toEqual(all);
  expect(routesIn(again)!.asOf).toBe(again.grant.asOf);
  // Nothing of what is elsewhere goes to the Proxy in a form that it can read.
  expect(JSON.stringify(again.grant)).not.toContain('payroll');
  expect(Buffer.from(again.routes!).includes('payroll')).toBe(false);
  await drainSite(access, { name: 'b', drained: true }, BY);
  expect(places(routesIn(await read()))).toEqual([
    ['ledger', [['here']]],
    // There is no other place for it.
    ['payroll', [['b']]],
    ['wiki', [['here']]],
  ]);
});

test('of routes that are too long the first ones are sent: channels open all the same, and an operator is told', async () => {
  const { access, hello, ask, sidOf, secretOf } = await signedIn(['ada']);
  await putSite(access, { name: 'b', origins: [] }, BY);
  const long = Array.from({ length: 3 }, () => 'x'.repeat(60)).join('.');
  const names = Array.from({ length: 300 }, (_, i) => `r${i}`);
  for (const name of names)
    await putResource(access, name, { ...AT_LEDGER, authority: `${name}.${long}`, sites: ['b', 'here'] }, BY);
  const doubts = async () => (await explainRights(access, 'ada')).doubts;
  expect(await doubts()).toEqual([]);
  await changePolicy(access, 'wiki', { addResources: names }, BY);
  const [answer] = await ask([hello('ada', 1)]);
  if (answer?.status !== 'granted') throw new Error('not granted');
  expect(answer.grant.resources).toHaveLength(301);
  const of = { secret: secretOf('ada'), sid: sidOf('ada') };
  const told = openRoutes(access.crypto, of, answer.routes!).routes.length;
  expect(told).toBeGreaterThan(200);
  expect(await doubts()).toEqual([
    expect.stringMatching(`^there is room to tell devices where ${told} of these 301 resources are: from r\\d+ on`),
  ]);
});

function bump(access: AccessContext): Promise<unknown> {
  return access.store.transaction((transaction) => bumpMapVersion(transaction));
}

test('policies are those of this epoch: a restored realm may count to the same version with others', async () => {
  const { access, hello, ask } = await signedIn(['ada']);
  await ask([hello('ada', 1)]);
  await access.store.transaction(async ({ tables }) => {
    await tables.policies.remove({});
    await tables.realms.update({ where: { id: 'realm' } }, { epoch: 'f'.repeat(32) });
  });
  const [answer] = await ask([hello('ada', 2)]);
  expect(answer).toMatchObject({ grant: { resources: [], epoch: 'f'.repeat(32), app: 'a@1', generation: 0 } });
});

test('a version that was revoked is no app context of any session, whichever version began it, until it is lifted', async () => {
  const { access, hello, ask } = await signedIn(['ada']);
  await putApp(access, 'a', { groups: null }, BY);
  let chanNo = 0;
  const demand = async () => {
    chanNo += 1;
    const [answer] = await ask([hello('ada', chanNo)]);
    return answer?.status === 'granted' ? answer.grant.context.apps : answer;
  };
  const enter = (kind: 'app' | 'lift', subject: string) =>
    revoke(access, { requestId: randomUUID(), kind, subject }, BY);
  expect(await demand()).toEqual([{ id: 'a' }]);
  await enter('app', 'a@2');
  await enter('app', 'a@3');
  await enter('app', 'b@4');
  expect(await demand()).toEqual([{ id: 'a', notVersions: ['2', '3'] }]);
  // Whatever else is said of the app; and an app that comes later has its own.
  await putApp(access, 'a', { groups: null, minimum: { version: '1', from: 0 } }, BY);
  await putApp(access, 'b', { groups: null }, BY);
  expect(await demand()).toEqual([{ id: 'a', minVersion: '1', notVersions: ['2', '3'] }]);
  expect((await getApp(access, 'b')).blocked).toEqual(['4']);
  // A row as a version before this one left it: whoever registers the app anew takes in what the log says.
  await access.store.transaction(({ tables }) => tables.apps.update({ where: { id: 'b' } }, { blocked: null }));
  await putApp(access, 'b', { groups: null }, BY);
  expect((await getApp(access, 'b')).blocked).toEqual(['4']);
  await enter('lift', 'a@2');
  await enter('lift', 'a@3');
  expect(await demand()).toEqual([{ id: 'a', minVersion: '1' }]);
});

test('of more versions of an app than a grant has room for the lowest are one, and cutting off has no limit', async () => {
  const { access, hello, ask } = await signedIn(['ada']);
  await putApp(access, 'a', { groups: null }, BY);
  const enter = (minor: number, kind: 'app' | 'lift' = 'app') =>
    revoke(access, { requestId: randomUUID(), kind, subject: `a@1.${minor}` }, BY);
  let chanNo = 0;
  const demand = async () => {
    chanNo += 1;
    const [answer] = await ask([hello('ada', chanNo)]);
    if (answer?.status !== 'granted') throw new Error('no grant');
    return answer.grant.context.apps![0]!;
  };
  const refused = async (...versions: string[]) => {
    const app = await demand();
    return versions.filter((version) => isRefusedVersion(app, version));
  };
  // Only every second version is revoked, in no order.
  for (let i = 0; i < MAX_BLOCKED_VERSIONS; i++) await enter(2 * ((i * 37) % MAX_BLOCKED_VERSIONS) + 10);
  expect(await demand()).not.toHaveProperty('notBelow');
  expect(await refused('1.9', '1.10', '1.11', '1.12')).toEqual(['1.10', '1.12']);
  await enter(9_999);
  expect(await blockedWords(access, 'a')).toContain('every version below 1.12 is refused');
  expect((await demand()).notVersions).toHaveLength(MAX_BLOCKED_VERSIONS);
  expect(await refused('1.9', '1.10', '1.11', '1.12', '1.13', '1.9999', '2')).toEqual([
    ...['1.9', '1.10', '1.11', '1.12', '1.9999'],
  ]);
  await enter(20_000);
  await enter(4);
  expect(await refused('1.4', '1.10', '1.13', '1.14', '1.15', '1.20000')).toEqual([
    ...['1.4', '1.10', '1.13', '1.14', '1.20000'],
  ]);
  // Who says the app again forgets none of it, and a lift finds what was folded in the log.
  await putApp(access, 'a', { groups: null }, BY);
  expect(await refused('1.10', '1.13', '1.20000')).toEqual(['1.10', '1.13', '1.20000']);
  for (const minor of [9_999, 20_000]) await enter(minor, 'lift');
  expect(await refused('1.3', '1.4', '1.5', '1.10', '1.11', '1.9999')).toEqual(['1.3', '1.4', '1.5', '1.10']);
  await enter(4, 'lift');
  expect(await blockedWords(access, 'a')).toBeUndefined();
  expect(await refused('1.3', '1.4', '1.9', '1.10', '1.11')).toEqual(['1.10']);
});

test('a grant carries the newest evidence where a rule demands some, with its age, and only there', async () => {
  const { access, hello, ask, cache, sidOf } = await signedIn(['ada']);
  const [first] = await ask([hello('ada', 1)]);
  if (first?.status !== 'granted') throw new Error('not granted');
  const { installationId } = first.grant;
  const row = {
    installationId,
    connector: 'app-attest',
    level: 'hardware',
    at: 0,
    challengedAt: 0,
    counter: 0,
  } as const;
  await access.store.transaction(async ({ tables, now }) => {
    await tables.evidence.insert({ ...row, at: now() - 5_000, facts: { os: 'ios' }, keyId: null, publicKey: null });
  });
  const verdict = async () => {
    const [rights] = await reauthorise(access, cache, { sids: [formatHex(sidOf('ada'))], holder: HERE });
    return typeof rights === 'object' ? rights.grant.verdict : rights;
  };
  expect(await verdict()).toBe('no channel');
  await access.store.transaction(({ tables }) =>
    tables.leases.insert({ proxy: leaseKeyOf(HERE.name, HERE.instance), ...LEASE }),
  );
  expect(await verdict()).toBeUndefined();
  const attested = { withinMs: 900_000, level: 'hardware' } as const;
  await putPolicy(access, 'wiki', { groups: ['staff'], resources: ['wiki'], context: { attested } }, BY);
  expect(await verdict()).toEqual({ connector: 'app-attest', level: 'hardware', ageMs: 5_000, facts: { os: 'ios' } });
  await changeSettings(access, { production: true }, BY);
  expect(await verdict()).toMatchObject({ level: 'hardware' });
  const bySoftware = { where: { installationId } };
  await access.store.transaction(({ tables }) => tables.evidence.update(bySoftware, { level: 'software' }));
  // It fulfils nothing any more; what was proved still stands in place of claims.
  expect(await verdict()).toMatchObject({ facts: { os: 'ios' }, ageMs: SPENT_EVIDENCE_MS });
  await access.store.transaction(({ tables }) => tables.evidence.update(bySoftware, { level: null, facts: {} }));
  expect(await verdict()).toBeUndefined();
});
