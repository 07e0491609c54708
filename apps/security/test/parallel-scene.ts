import {
  type AccessContext,
  getRealm,
  type Hold,
  issueDirectoryToken,
  type Keyring,
  putDirectory,
  putGroup,
  putUser,
  type RealmStore,
} from '@sallyport/access';
import { MemoryStore, type Rows, TABLE_NAMES, type TableName, type Transaction } from '@sallyport/access/store';
import type { FastifyInstance } from 'fastify';
import { createAdminService, createDirectoryService } from '../src/app.ts';
import { InForce } from '../src/revocation/in-force.ts';
import { DATABASE, scene } from './scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };
const SHARED = { kind: 'in-process', server: () => '' };

export type AllRows = ReadonlyMap<TableName, readonly object[]>;

interface Server {
  readonly admin: FastifyInstance;
  readonly directory: FastifyInstance;
}

export type Request = readonly [method: string, url: string, body?: object];

/** Every change of users, groups and directories, and ways to run two of them. */
export interface ParallelScene {
  readonly operations: Readonly<Record<string, Request>>;
  /** What comes of one after the other: statuses, the first request's first, and rows. */
  inOrder(first: Request, second: Request, isSwapped: boolean): Promise<string>;
  /** What comes of the whole of another one before each transaction of one, by the number of that transaction. */
  interleavings(one: Request, other: Request): Promise<Map<number, string>>;
  /** What comes of both at the same moment. */
  atOnce(one: Request, other: Request): Promise<string>;
}

/** What a stage stands on: a store that can be put back to where it was. */
export interface Ground {
  readonly store: RealmStore;
  put(all: AllRows): Promise<void>;
}

/** A store in memory: quick to put back. */
export function memoryGround(now: () => number = Date.now): Ground {
  let store = new MemoryStore(now).in('main');
  return {
    store: { realm: 'main', transaction: (work) => store.transaction(work) },
    async put(all) {
      store = new MemoryStore(now).in('main');
      await insertAll(store, all);
    },
  };
}

/** Any store, with the locks that it really has. */
export function groundOn(store: RealmStore): Ground {
  return {
    store,
    put: (all) =>
      store.transaction(async (transaction) => {
        for (const name of TABLE_NAMES) await transaction.tables[name].remove({});
        await insertRows(transaction, all);
      }),
  };
}

function insertAll(store: RealmStore, all: AllRows): Promise<void> {
  return store.transaction((transaction) => insertRows(transaction, all));
}

async function insertRows({ tables }: Transaction, all: AllRows): Promise<void> {
  for (const [name, rows] of all) await tables[name].insertEach(rows as never);
}

function readAll(store: RealmStore): Promise<AllRows> {
  return store.transaction(async ({ tables }) => {
    const all = new Map<TableName, readonly object[]>();
    for (const name of TABLE_NAMES) all.set(name, await tables[name].list());
    return all;
  });
}

/** A ground on which one client can be held up before a transaction of theirs. */
class Stage {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** What everybody uses. */
  get plain(): RealmStore {
    return this.#ground.store;
  }

  /** What the client uses who is held up before transaction number `at`, until `meanwhile` is over. */
  at = Number.POSITIVE_INFINITY;
  begun = 0;
  meanwhile: () => Promise<void> = async () => undefined;
  readonly held: RealmStore = {
    realm: 'main',
    transaction: async (work) => {
      this.begun += 1;
      if (this.begun === this.at) await this.meanwhile();
      return this.#ground.store.transaction(work);
    },
  };

  rows(): Promise<AllRows> {
    return readAll(this.#ground.store);
  }

  put(all: AllRows): Promise<void> {
    return this.#ground.put(all);
  }
}

/** On another server than before, revocations are in force after the leases of before: ms of the node's clock, which stands still here. */
function holdMs(store: RealmStore, hold: Hold): Promise<number> {
  return store.transaction(async (transaction) => {
    const { serverRun } = transaction;
    return hold.running({ realm: await getRealm(transaction), serverRun })?.remainingMs ?? 0;
  });
}

/** Builds the scene on a ground; `groundOf` gets the keys and the clock of the realm that is put onto it. */
export async function parallelScene(
  groundOf: (of: { readonly keyring: Keyring; readonly now: () => number }) => Ground,
): Promise<ParallelScene> {
  const { context, token, clock } = await scene();
  const stage = new Stage(groundOf({ keyring: context.access.keyring, now: () => clock.now }));
  await stage.put(await readAll(context.access.store));
  clock.now += await holdMs(stage.plain, context.node.hold);

  async function serverOn(store: RealmStore): Promise<Server> {
    const access: AccessContext = { ...context.access, store };
    const own = { ...context, access, inForce: new InForce({ ...context, access }) };
    const certificate = await own.keys.ca.issueServer(['localhost'], Date.now());
    const routes = { ...own, version: '0.0.0', database: DATABASE, shared: SHARED };
    const admin = await createAdminService(routes as never, certificate);
    return { admin, directory: createDirectoryService(own, certificate) };
  }

  const [held, plain] = [await serverOn(stage.held), await serverOn(stage.plain)];
  const access: AccessContext = { ...context.access, store: stage.plain };
  await putDirectory(access, 'corp', { kind: 'scim', stage: 'active', settings: {} }, BY);
  const scim = (await issueDirectoryToken(access, 'corp', { endOthers: false }, BY)).token;

  async function send(server: Server, [method, url, payload]: Request): Promise<number> {
    const isScim = url.startsWith('/scim');
    const answer = await (isScim ? server.directory : server.admin).inject({
      method: method as 'GET',
      url,
      headers: {
        authorization: `Bearer ${isScim ? scim : token}`,
        'sallyport-reason': 'unit test',
        // The same id for the same subject and for others: a client that mixes its ids up.
        ...(url.includes('/eve/') ? { 'sallyport-request': '0123456789abcdef' } : {}),
      },
      ...(payload ? { payload } : {}),
    });
    if (answer.statusCode >= 500) throw new Error(`${method} ${url}: ${answer.body}`);
    return answer.statusCode;
  }

  async function created(url: string, payload: object): Promise<string> {
    const answer = await plain.directory.inject({
      method: 'POST',
      url,
      payload,
      headers: { authorization: `Bearer ${scim}` },
    });
    return (answer.json() as { id: string }).id;
  }

  for (const name of ['staff', 'admins']) await putGroup(access, name, BY);
  await putUser(access, 'eve', { groups: ['staff'] }, BY);
  const [ada, bob, gone] = [
    await created('/scim/v2/Users', { userName: 'ada', externalId: 'e-ada', title: 'Captain' }),
    await created('/scim/v2/Users', { userName: 'bob' }),
    await created('/scim/v2/Users', { userName: 'gone', externalId: 'e-gone' }),
  ];
  await send(plain, ['DELETE', `/scim/v2/Users/${gone}`]);
  const team = await created('/scim/v2/Groups', { displayName: 'team', externalId: 'g1', members: [{ value: ada }] });
  const start = await stage.rows();

  const patch = (url: string, ...Operations: object[]): Request => ['PATCH', `/scim/v2${url}`, { Operations }];
  const set = (id: string, path: string, value: unknown): Request =>
    patch(`/Users/${id}`, { op: 'replace', path, value });

  /** Changes of subjects that they share. */
  const OPERATIONS: Readonly<Record<string, Request>> = {
    'SCIM: deactivate ada': set(ada, 'active', false),
    'SCIM: activate ada': set(ada, 'active', true),
    'SCIM: title of ada': set(ada, 'title', 'Admiral'),
    'SCIM: extension of ada': patch(`/Users/${ada}`, { op: 'add', path: 'nickName', value: 'A' }),
    'SCIM: ada is called carol': set(ada, 'userName', 'carol'),
    'SCIM: bob is called carol': set(bob, 'userName', 'carol'),
    'SCIM: put ada': ['PUT', `/scim/v2/Users/${ada}`, { userName: 'ada', displayName: 'Ada King' }],
    'SCIM: delete ada': ['DELETE', `/scim/v2/Users/${ada}`],
    'SCIM: post carol': ['POST', '/scim/v2/Users', { userName: 'carol' }],
    'SCIM: post Carol': ['POST', '/scim/v2/Users', { userName: 'Carol', externalId: 'e-carol' }],
    'SCIM: post who is gone': ['POST', '/scim/v2/Users', { userName: 'gone', externalId: 'e-gone' }],
    'SCIM: post who is gone, under another name': [
      'POST',
      '/scim/v2/Users',
      { userName: 'gone-again', externalId: 'e-gone' },
    ],
    'SCIM: bob joins': patch(`/Groups/${team}`, { op: 'add', path: 'members', value: [{ value: bob }] }),
    'SCIM: ada leaves': patch(`/Groups/${team}`, { op: 'remove', path: `members[value eq "${ada}"]` }),
    'SCIM: team is bob': ['PUT', `/scim/v2/Groups/${team}`, { displayName: 'team', members: [{ value: bob }] }],
    'SCIM: team is called crew': patch(`/Groups/${team}`, { op: 'replace', path: 'displayName', value: 'crew' }),
    'SCIM: team has another source': patch(`/Groups/${team}`, { op: 'replace', path: 'externalId', value: 'g2' }),
    'SCIM: post crew': [
      'POST',
      '/scim/v2/Groups',
      { displayName: 'crew', externalId: 'g1', members: [{ value: ada }] },
    ],
    'SCIM: delete team': ['DELETE', `/scim/v2/Groups/${team}`],
    'admin: disable ada': ['POST', '/v1/users/ada/disable'],
    'admin: enable ada': ['POST', '/v1/users/ada/enable'],
    'admin: ada into admins': ['PUT', '/v1/users/ada', { groups: ['admins'] }],
    'admin: disable eve': ['POST', '/v1/users/eve/disable'],
    'admin: put carol': ['PUT', '/v1/users/carol', { displayName: 'Carol' }],
    'admin: eve is called carol': ['POST', '/v1/users/eve/rename', { name: 'carol' }],
    'admin: remove eve': ['DELETE', '/v1/users/eve'],
    'admin: map team': ['PUT', '/v1/directories/corp/groups', { subject: team, group: 'staff' }],
    'admin: corp has a suffix': [
      'PUT',
      '/v1/directories/corp',
      { kind: 'scim', stage: 'active', settings: { suffix: '-corp' } },
    ],
    'admin: remove corp': ['DELETE', '/v1/directories/corp'],
    'admin: revoke ada': [
      'PUT',
      '/v1/revocations/0123456789abcdef',
      {
        kind: 'user',
        subject: (start.get('users') as { id: string; name: string }[]).find(({ name }) => name === 'ada')!.id,
        reason: 'unit test',
      },
    ],
  };

  const original = new Map((start.get('users') as { id: string; name: string }[]).map(({ id, name }) => [id, name]));

  /** Everything that matters, without ids and times that are made anew in each run. */
  function told(all: AllRows): string {
    const rows = <Name extends TableName>(name: Name) => all.get(name) as unknown as readonly Rows[Name][];
    const plainName = (name: string): string => name.replace(/-[0-9a-f]{8}@/, '-#@');
    const members = rows('members');
    const users = rows('users').map(
      ({ id, name, displayName, enabled, outByOperator, outByDirectory, directory, pastAccount }) => ({
        ...{ name, displayName, enabled, outByOperator, outByDirectory, directory, pastAccount, was: original.get(id) },
        groups: members
          .filter(({ userId }) => userId === id)
          .map(({ groupName, source }) => `${plainName(groupName)} ${source === ''}`)
          .sort(),
      }),
    );
    const nameOf = new Map(rows('users').map(({ id, name }) => [id, name]));
    const accounts = rows('identities').map(({ subject, login, externalId, active, attributes, userId }) => ({
      ...{ login, externalId, active, attributes, user: nameOf.get(userId) },
      groups: rows('accountGroups').filter((row) => row.subject === subject).length,
    }));
    const groups = rows('directoryGroups').map(({ subject, name, externalId, groupName }) => ({
      ...{ name, externalId, groupName: plainName(groupName) },
      members: rows('accountGroups').filter((row) => row.groupSubject === subject).length,
    }));
    const texts = (list: readonly object[]): string[] => list.map((one) => JSON.stringify(one)).sort();
    return JSON.stringify([
      texts(users),
      texts(accounts),
      texts(groups),
      rows('directories').map(({ settings }) => settings),
    ]);
  }

  async function inOrder(first: Request, second: Request, isSwapped: boolean): Promise<string> {
    await stage.put(start);
    const statuses = [await send(plain, first), await send(plain, second)];
    return `${isSwapped ? statuses.reverse() : statuses} ${told(await stage.rows())}`;
  }

  /** Runs one change and, before each of its transactions in turn, the whole of another one. */
  async function interleavings(one: Request, other: Request): Promise<Map<number, string>> {
    const outcomes = new Map<number, string>();
    for (let at = 1; ; at++) {
      await stage.put(start);
      let status = 0;
      const meanwhile = async (): Promise<void> => {
        status = await send(plain, other);
      };
      Object.assign(stage, { at, begun: 0, meanwhile });
      const own = await send(held, one);
      if (stage.begun < at) return outcomes;
      outcomes.set(at, `${[own, status]} ${told(await stage.rows())}`);
    }
  }

  async function atOnce(one: Request, other: Request): Promise<string> {
    await stage.put(start);
    const statuses = await Promise.all([send(plain, one), send(plain, other)]);
    return `${statuses} ${told(await stage.rows())}`;
  }

  return { operations: OPERATIONS, inOrder, interleavings, atOnce };
}
