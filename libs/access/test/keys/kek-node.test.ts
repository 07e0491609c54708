import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  beginKekTurn,
  checkKeks,
  createKeyring,
  EpochFence,
  forgetKek,
  KekNode,
  type KekSet,
  type KekShelf,
  type KekView,
  LiveKeyring,
  putUser,
  type RealmStore,
  removeNode,
  sealedStore,
  takenBack,
  turnWaits,
} from '../../src/index.ts';
import { readKeks } from '../../src/keys/kek-turn.ts';
import { MemoryStore } from '../../src/store.ts';
import { enrolled, keys, REQUEST, withAda } from '../ada.ts';
import { BY } from '../scene.ts';
import { kekOfBytes, renewAll } from './renewed.ts';

const crypto = nodeCrypto();

class Killed extends Error {}

/** A file that outlives processes; its keys are copies, as from a disk. */
function shelfOf(first: KekSet): KekShelf & { set: KekSet } {
  const copied = (keys: KekSet['keys']): KekSet['keys'] =>
    new Map([...keys].map(([id, key]) => [id, Uint8Array.from(key)]));
  const copy = (set: KekSet): KekSet => ({ ...set, keys: copied(set.keys), retired: copied(set.retired) });
  return {
    set: copy(first),
    read() {
      return copy(this.set);
    },
    change(edit) {
      this.set = copy(edit(this.read()));
      return this.read();
    },
  };
}

const FIRST: KekSet = { current: 1, keys: new Map([[1, kekOfBytes(1)]]), retired: new Map() };

/** One node with its file; `kill` ends its process before or after the n-th thing that it does to store or file. */
class TestNode {
  readonly shelf: ReturnType<typeof shelfOf>;
  readonly reports: string[] = [];
  node!: KekNode;
  keyring!: LiveKeyring;
  left = Number.POSITIVE_INFINITY;
  after = false;
  othersEnded: () => Promise<void> = async () => undefined;

  readonly id: string;
  readonly bare: RealmStore;

  constructor(id: string, bare: RealmStore, shelf = shelfOf(FIRST)) {
    this.id = id;
    this.bare = bare;
    this.shelf = shelf;
    this.start();
  }

  start(): void {
    this.left = Number.POSITIVE_INFINITY;
    const { current, keys: keks, retired } = this.shelf.read();
    this.keyring = new LiveKeyring(createKeyring(crypto, keks, current, retired));
    this.node = new KekNode({
      node: this.id,
      store: { realm: 'main', transaction: (work) => this.#mortal(() => this.bare.transaction(work)) },
      crypto,
      shelf: {
        read: () => this.shelf.read(),
        change: (edit) => {
          this.#dieIf(!this.after);
          const set = this.shelf.change(edit);
          this.#dieIf(this.after);
          return set;
        },
      },
      keyring: this.keyring,
      fence: new EpochFence(),
      report: ({ table, key }) => this.reports.push(`${table} ${key}`),
      othersEnded: () => this.othersEnded(),
      settleMs: 0,
    });
  }

  #dieIf(now: boolean): void {
    if (now && --this.left <= 0) throw new Killed();
  }

  async #mortal<T>(work: () => Promise<T>): Promise<T> {
    this.#dieIf(!this.after);
    const result = await work();
    this.#dieIf(this.after);
    return result;
  }
}

/** Nodes of a realm that has a user with an installation. */
async function farm(names: readonly string[]) {
  const { access, store, clock } = await withAda();
  const installation = await enrolled(access);
  const bare = store.in('main');
  await checkKeks(bare, access.keyring);
  const nodes = new Map<string, TestNode>();
  const asleep = new Set<string>();
  const add = async (id: string, shelf?: ReturnType<typeof shelfOf>): Promise<TestNode> => {
    const node = new TestNode(id, bare, shelf);
    nodes.set(id, node);
    await bare.transaction(({ tables }) =>
      tables.nodes.insert({
        ...{ id, proxyUrl: '', adminUrl: '', version: '0', startedAt: 0, state: 'up', beat: 1, seenAt: 0 },
        ...{ clockOffsetMs: 0, degraded: [], keyId: '', knownKeys: [], journal: '' },
      }),
    );
    return node;
  };
  for (const name of names) await add(name);
  const awake = (id: string): boolean => nodes.has(id) && !asleep.has(id);
  const view = (): Promise<KekView> =>
    bare.transaction((transaction) =>
      readKeks(transaction, [...nodes.values()].find(({ id }) => awake(id))!.keyring, 'main'),
    );
  const accessOf = ({ keyring }: TestNode): AccessContext => ({
    ...access,
    keyring,
    store: sealedStore(bare, keyring, ({ table }) => {
      throw new Error(`forged: ${table}`);
    }),
  });
  /** Every node that is awake does a step; who is killed starts again. */
  const tick = async (): Promise<void> => {
    clock.now += 1_000;
    for (const one of nodes.values()) {
      if (asleep.has(one.id)) continue;
      try {
        await one.node.step({ awake });
        await one.node.idle();
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        one.start();
      }
    }
  };
  const until = async (good: (seen: KekView) => boolean, ticks = 40): Promise<void> => {
    for (let i = 0; i < ticks; i++) {
      if (good(await view())) return;
      await tick();
    }
    throw new Error(`not reached: ${JSON.stringify((await view()).turn)}`);
  };
  const done = (): Promise<void> => until(({ turn }) => turn?.state === 'done');
  /** Nothing is left of the old keys, in any row or file in use, and what the rows hold opens. */
  const expectTurned = async (of = installation.id): Promise<void> => {
    const { turn } = await view();
    // Who is killed in the first one retires the old key in the next one.
    await tick();
    await tick();
    for (const one of nodes.values()) {
      if (asleep.has(one.id)) continue;
      expect(one.shelf.set.current).toBe(turn!.kek);
      expect([...one.shelf.set.keys.keys()]).toEqual([turn!.kek]);
      expect(one.shelf.set.retired.has(1)).toBe(true);
      expect((await keys(accessOf(one), of))[0]!.key).toEqual(REQUEST.sharedKey);
    }
    const sets = [...nodes.values()]
      .filter(({ id }) => !asleep.has(id))
      .map(({ shelf }) => shelf.set.keys.get(turn!.kek));
    for (const key of sets) expect(key).toEqual(sets[0]);
  };
  const first = (): TestNode => [...nodes.values()][0]!;
  const begin = (order?: Parameters<typeof beginKekTurn>[2]) => beginKekTurn(accessOf(first()), BY, order);
  await tick();
  return {
    access,
    bare,
    nodes,
    asleep,
    add,
    tick,
    until,
    done,
    view,
    accessOf,
    begin,
    expectTurned,
    awake,
    installation,
  };
}

test('a new key is in the file of every node before anything is wrapped with it, and the old one then retires', async () => {
  const all = await farm(['n1', 'n2', 'n3']);
  expect(await all.begin()).toMatchObject({ begun: true });
  await all.until(({ turn }) => turn?.state === 'wrapping');
  for (const { shelf } of all.nodes.values()) expect([...shelf.set.keys.keys()].sort()).toEqual([1, 2]);
  await all.done();
  await all.expectTurned();
  const { keks } = await all.view();
  expect(keks.map(({ id, retiredAt }) => [id, retiredAt === null])).toEqual([
    [1, false],
    [2, true],
  ]);
  const events = await all.bare.transaction(({ tables }) => tables.audit.list());
  expect(events.slice(-2).map(({ action, subject }) => `${action} ${subject}`)).toEqual([
    'kek.rotate from 1',
    'kek.retire 1 for 2',
  ]);
});

test('two turns at once are one', async () => {
  const all = await farm(['n1', 'n2']);
  const [n1, n2] = [...all.nodes.values()];
  const [a, b] = await Promise.all([beginKekTurn(all.accessOf(n1!), BY), beginKekTurn(all.accessOf(n2!), BY)]);
  expect([a.begun, b.begun].sort()).toEqual([false, true]);
  expect(a.turn.turn).toBe(b.turn.turn);
  await all.done();
  await all.expectTurned();
  expect((await all.view()).keks).toHaveLength(2);
});

test('whoever is killed before or after anything that it does to store or file, the turn is finished', async () => {
  let kills = 0;
  for (const victim of ['n1', 'n2']) {
    for (const after of [false, true]) {
      for (let step = 1; ; step++) {
        const all = await farm(['n1', 'n2']);
        const one = all.nodes.get(victim)!;
        one.after = after;
        one.left = step;
        await all.begin();
        await all.done();
        const died = one.left === Number.POSITIVE_INFINITY;
        await all.expectTurned();
        if (!died) break;
        kills += 1;
      }
    }
  }
  expect(kills).toBeGreaterThan(40);
});

test('a leader that does not come back with the only copy of a new key is followed by another key', async () => {
  const all = await farm(['n1', 'n2']);
  await all.begin();
  const one = all.nodes.get('n1')!;
  await one.node.step({ awake: all.awake });
  expect((await all.view()).turn).toMatchObject({ kek: 2, state: 'spreading' });
  all.asleep.add('n1');
  await all.tick();
  expect((await all.view()).turn).toMatchObject({ kek: 2 });
  await all.bare.transaction(({ tables }) => tables.kekTurns.update({}, { changedAt: 0 }));
  await all.tick();
  expect((await all.view()).turn).toMatchObject({ kek: 3, state: 'spreading' });
  all.asleep.delete('n1');
  await all.done();
  await all.expectTurned();
  expect((await all.view()).turn).toMatchObject({ kek: 3 });
});

test('a node that comes late to say that it has the key which it drew draws no other one', async () => {
  const all = await farm(['n1', 'n2']);
  await all.begin();
  await all.nodes.get('n1')!.node.step({ awake: all.awake });
  // Its step took longer than a key is waited for.
  await all.bare.transaction(({ tables }) => tables.kekTurns.update({}, { changedAt: 0 }));
  await all.done();
  await all.expectTurned();
  expect((await all.view()).keks.map(({ id }) => id)).toEqual([1, 2]);
});

test('a silent node is waited for by name, until it is named as one to go on without', async () => {
  const all = await farm(['n1', 'n2', 'n3']);
  all.asleep.add('n3');
  await all.begin();
  for (let i = 0; i < 10; i++) await all.tick();
  const seen = await all.view();
  expect(seen.turn!.state).toBe('spreading');
  expect(turnWaits(seen, all.awake)).toEqual([{ node: 'n3', why: 'silent' }]);
  expect(await all.begin({ without: ['n3'] })).toMatchObject({ begun: false });
  await all.done();
  await all.expectTurned();
  const late = all.nodes.get('n3')!;
  all.asleep.delete('n3');
  await late.node.step({ awake: all.awake });
  expect(late.node.missing?.words).toMatch(
    /sealed with key-encryption key 2, which kek.json of this node lacks: copy the file/,
  );
  expect([...late.shelf.set.keys.keys()]).toEqual([1]);
});

test('a node that was left out and wakes while everything is wrapped still gets the key', async () => {
  const all = await farm(['n1', 'n2']);
  all.asleep.add('n2');
  await all.begin({ without: ['n2'] });
  await all.until(({ turn }) => turn?.state === 'wrapping');
  all.asleep.delete('n2');
  await all.done();
  await all.expectTurned();
});

test('a node that joins in the middle with the old file gets the key before it is up', async () => {
  const all = await farm(['n1']);
  await all.begin();
  await all.until(({ turn }) => turn?.state === 'wrapping');
  await all.tick();
  const joining = new TestNode('n9', all.bare);
  await joining.node.enter();
  expect(joining.node.missing).toMatchObject({ comes: true, words: expect.stringContaining('hands it over') });
  await all.nodes.get('n1')!.node.step({ awake: all.awake });
  await joining.node.enter();
  expect(joining.node.missing).toBeUndefined();
  expect(joining.keyring.current).toBe(2);
});

test('a node of a version that cannot take keys is waited for by name', async () => {
  const all = await farm(['n1', 'n2']);
  await all.bare.transaction(({ tables }) => tables.kekHolders.remove({ where: { node: 'n2' } }));
  all.nodes.get('n2')!.node.step = async () => all.view();
  await all.begin();
  for (let i = 0; i < 5; i++) await all.tick();
  const seen = await all.view();
  expect(seen.turn!.state).toBe('spreading');
  expect(turnWaits(seen, all.awake)).toEqual([{ node: 'n2', why: 'older version' }]);
  await removeNode(all.accessOf(all.nodes.get('n1')!), 'n2', BY);
  all.nodes.delete('n2');
  await all.done();
});

test('nodes that share one file turn it once', async () => {
  const shared = shelfOf(FIRST);
  const all = await farm([]);
  await all.add('n1', shared);
  await all.add('n2', shared);
  await all.tick();
  await all.begin();
  await all.done();
  await all.expectTurned();
  expect((await all.view()).keks).toHaveLength(2);
});

test('who can write the database, but has no key, gets no new key and gives none', async () => {
  const all = await farm(['n1', 'n2']);
  const stranger = new TestNode('mallory', all.bare, shelfOf({ ...FIRST, keys: new Map([[1, kekOfBytes(66)]]) }));
  await stranger.node.enter();
  const forgery = async ({ tables }: Parameters<Parameters<RealmStore['transaction']>[0]>[0]): Promise<void> => {
    const row = (await tables.kekHolders.find({ node: 'mallory' }))!;
    // In the name of a node, and with what that node has said of its own.
    const own = (await tables.kekHolders.find({ node: 'n2' }))!;
    await tables.kekHolders.update(
      { where: { node: 'n2' } },
      { publicKey: row.publicKey, instance: row.instance, mac: own.mac },
    );
  };
  await all.begin();
  await all.nodes.get('n1')!.node.step({ awake: all.awake });
  await all.bare.transaction(forgery);
  await all.nodes.get('n1')!.node.step({ awake: all.awake });
  const forged = await all.bare.transaction(({ tables }) => tables.kekHolders.list());
  expect(forged.filter(({ parcel }) => parcel).map(({ node }) => node)).toEqual([]);
  // The turn waits for the real node, which says again who it is.
  await all.done();
  await all.expectTurned();
});

test('a parcel or a turn that nobody with a key has made changes no file', async () => {
  const all = await farm(['n1']);
  await all.bare.transaction(({ tables }) =>
    tables.kekTurns.insert({
      ...{ id: 'turn', turn: 'f0', kek: 9, from: [1], state: 'wrapping', without: [], actor: 'm', reason: 'm' },
      ...{ startedAt: 0, changedAt: 0, renewed: 0, forged: 0, mac: new Uint8Array(20).fill(1) },
    }),
  );
  const junk = { parcelKek: 9, parcel: new Uint8Array(1_168), parcelMac: new Uint8Array(20).fill(1) };
  await all.bare.transaction(({ tables }) => tables.kekHolders.update({ where: { node: 'n1' } }, junk));
  await all.tick();
  const { node, shelf } = all.nodes.get('n1')!;
  expect([...shelf.set.keys.keys()]).toEqual([1]);
  expect(node.missing).toBeUndefined();
  expect(await all.begin()).toMatchObject({ begun: true });
  await all.done();
  await all.expectTurned();
});

test('rows that nobody with a key has written stay forged, and hold no turn up', async () => {
  const all = await farm(['n1']);
  await all.bare.transaction(({ tables }) => tables.users.update({}, { enabled: true, passwordHash: 'hashed:evil' }));
  await all.begin();
  await all.done();
  expect((await all.view()).turn).toMatchObject({ forged: 1 });
  expect(all.nodes.get('n1')!.reports[0]).toMatch(/^users /);
  const read = all.accessOf(all.nodes.get('n1')!).store.transaction(({ tables }) => tables.users.list());
  await expect(read).rejects.toThrow('forged: users');
});

test('once it is retired, the old key vouches for nothing: who has stolen it makes no row and opens no secret', async () => {
  const all = await farm(['n1']);
  await all.begin();
  await all.done();
  await all.tick();
  const thief = createKeyring(crypto, new Map([[1, kekOfBytes(1)]]), 1);
  const stolen = sealedStore(all.bare, thief, () => undefined);
  await stolen.transaction(({ tables }) =>
    tables.sites.insert({ name: 'evil', origins: ['https://evil'], resources: [], leaseMs: null, drainedAt: null }),
  );
  const { keyring } = all.nodes.get('n1')!;
  const bad: string[] = [];
  const ours = sealedStore(all.bare, keyring, ({ table, key }) => void bad.push(`${table} ${key}`));
  await expect(ours.transaction(({ tables }) => tables.sites.find({ name: 'evil' }))).rejects.toMatchObject({
    code: 'ERR_ACCESS_FORGED',
  });
  expect(bad).toEqual(['sites evil']);
  expect(() => keyring.unwrap(thief.wrap(kekOfBytes(5), 'p'), 'p')).toThrow('missing');
  // What was made with it is still known as ours.
  expect(keyring.verifyMark(thief.mac(kekOfBytes(7)), kekOfBytes(7))).toBe(true);
  expect(keyring.derive(1, 'x')).toEqual(thief.derive(1, 'x'));
});

test('the old key is not retired while a transaction lasts that may write with it, however long', async () => {
  const all = await farm(['n1', 'n2']);
  const lasting = Promise.withResolvers<void>();
  const asked: string[] = [];
  const leader = all.nodes.get('n1')!;
  const answers = [() => Promise.reject(new Error('the database is away')), () => lasting.promise];
  leader.othersEnded = () => {
    asked.push('again');
    return (answers.shift() ?? (async () => undefined))();
  };
  await all.begin();
  await all.until(({ turn }) => turn?.state === 'wrapping');
  for (let i = 0; i < 10; i++) await all.tick();
  expect((await all.view()).turn?.state).toBe('wrapping');
  expect(asked).toHaveLength(2);
  lasting.resolve();
  await all.done();
  await all.expectTurned();
});

test('an operator takes a retired key out of all files, and never one that is in use', async () => {
  const all = await farm(['n1', 'n2']);
  const access = () => all.accessOf(all.nodes.get('n1')!);
  await expect(forgetKek(access(), 1, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  await expect(forgetKek(access(), 7, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
  await all.begin();
  await all.done();
  await all.tick();
  // Who writes the database cannot say so.
  await all.bare.transaction(({ tables }) =>
    tables.keks.update({ where: { id: 1 } }, { forgotten: new Uint8Array(20) }),
  );
  await all.tick();
  for (const { shelf } of all.nodes.values()) expect([...shelf.set.retired.keys()]).toEqual([1]);
  await forgetKek(access(), 1, BY);
  await all.tick();
  for (const { shelf } of all.nodes.values()) expect([...shelf.set.retired.keys()]).toEqual([]);
});

test('after a restore of what a retired key wrapped, that key is taken back and everything is wrapped with the present one', async () => {
  const old = await farm(['n1', 'n2']);
  const backup = await copyOf(old.bare);
  await old.begin();
  await old.done();
  await old.tick();
  const restored = await farm([]);
  await restore(restored.bare, backup);
  const [one, two] = [...old.nodes.values()].map(({ shelf }) => shelf);
  const n1 = new TestNode('n1', restored.bare, one);
  await n1.node.enter();
  expect(n1.node.missing?.words).toMatch(/key 1, which was retired: after a restore "sallyport realm new-epoch"/);
  one!.change((set) => takenBack(set, () => true));
  n1.start();
  await n1.node.enter();
  expect(n1.node.missing).toBeUndefined();
  const { turn } = await beginKekTurn(restored.accessOf(n1), BY, { to: 2 });
  restored.nodes.set('n1', n1);
  restored.nodes.set('n2', new TestNode('n2', restored.bare, two));
  await restored.done();
  await restored.expectTurned(old.installation.id);
  // Who has kept the row of that turn, puts it back and has the old key, has no use of it.
  await restored.bare.transaction(({ tables }) => tables.kekTurns.update({}, turn));
  for (let i = 0; i < 5; i++) {
    await restored.tick();
    for (const { keyring } of restored.nodes.values()) expect(keyring.ids).toEqual([2]);
  }
  await restored.done();
});

async function copyOf(bare: RealmStore): Promise<Map<string, readonly object[]>> {
  return bare.transaction(async ({ tables }) => {
    const rows = new Map<string, readonly object[]>();
    for (const [name, table] of Object.entries(tables)) rows.set(name, await table.list());
    return rows;
  });
}

async function restore(bare: RealmStore, rows: ReadonlyMap<string, readonly object[]>): Promise<void> {
  await bare.transaction(async ({ tables }) => {
    for (const [name, table] of Object.entries(tables)) {
      await table.remove({});
      await table.insertEach((rows.get(name) ?? []) as never);
    }
  });
}

test('users and sessions come and go while it turns', async () => {
  const all = await farm(['n1', 'n2']);
  await all.begin();
  for (let i = 0; i < 30; i++) {
    await all.tick();
    for (const one of all.nodes.values())
      await putUser(all.accessOf(one), `u${i}-${one.id}`, { password: 'long enough' }, BY);
  }
  await all.done();
  await all.expectTurned();
  const users = await all.accessOf(all.nodes.get('n2')!).store.transaction(({ tables }) => tables.users.list());
  expect(users).toHaveLength(61);
});

test('a store of many rows is gone through in batches that lose none', async () => {
  const store = new MemoryStore();
  const bare = store.in('main');
  const first = createKeyring(crypto, new Map([[1, kekOfBytes(1)]]), 1);
  const both = createKeyring(crypto, new Map([1, 2].map((id) => [id, kekOfBytes(id)])), 2);
  await sealedStore(bare, first, () => undefined).transaction(async ({ tables }) => {
    const names = Array.from({ length: 1_234 }, (_, i) => `s${i}`);
    await tables.sites.insertEach(
      names.map((name) => ({ name, origins: [], resources: [], leaseMs: null, drainedAt: null })),
    );
    await tables.members.insertEach(
      names.map((userId, i) => ({ groupName: i < 900 ? 'big' : `g${i}`, userId, source: '' })),
    );
  });
  expect(await renewAll(bare, both)).toEqual({ renewed: 2_468, left: [] });
  expect(await renewAll(bare, both)).toEqual({ renewed: 0, left: [] });
});
