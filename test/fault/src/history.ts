import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AccessContext,
  changeSettings,
  createKeyring,
  createSession,
  enrol,
  ensureRealm,
  issueCode,
  keyCandidates,
  putGroup,
  putPolicy,
  putUser,
  revoke,
  type StoreError,
  verifyAudit,
} from '@sallyport/access';
import { keyOf, type SharedKey } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import type { LocalCluster } from '@sallyport/local-cluster';
import { type DatabaseAddress, migrate, SqlStore } from '@sallyport/store-sql';

const BY = { actor: 'rig', reason: 'fault rig' };

/** How the rig reaches the database of a cluster. */
export function databaseAddress(cluster: LocalCluster, role: 'sallyport' | 'superuser' = 'sallyport'): DatabaseAddress {
  const { securityEnvironment: environment, place } = cluster;
  const hosts = environment['SALLYPORT_DATABASE_HOSTS']!.split(',').map((text) => {
    const [host = '', port] = text.split(':');
    return { host, port: Number(port) };
  });
  return {
    ...hosts[0]!,
    hosts,
    user: role === 'superuser' ? 'postgres' : 'sallyport',
    password: place.secrets[role],
    database: 'sallyport',
    ca: cluster.ca,
  };
}

/** What was acknowledged, by kind. Registers only ever rise. */
interface Acknowledged {
  readonly installations: Set<string>;
  readonly sessions: Set<string>;
  /** Revocation by request id: the index that was acknowledged. */
  readonly revocations: Map<string, number>;
  /** Generation of the key by installation. */
  readonly generations: Map<string, number>;
  /** Version of each writer's policy. */
  readonly policies: Map<string, number>;
}

/** Writers that do through the real rules what Security does, and remember what was acknowledged. */
export class History {
  readonly counts = new Map<string, number>();
  /** Longest time without any acknowledgement, ms, by second of trouble. */
  readonly pauses: number[] = [];
  unknown = 0;
  acknowledged = 0;
  readonly #access: AccessContext;
  readonly #store: SqlStore;
  readonly #done: Acknowledged = {
    installations: new Set(),
    sessions: new Set(),
    revocations: new Map(),
    generations: new Map(),
    policies: new Map(),
  };
  #writers: Promise<void>[] = [];
  #stopped = false;
  #lastAt = performance.now();

  private constructor(access: AccessContext, store: SqlStore) {
    this.#access = access;
    this.#store = store;
  }

  static async begin(address: DatabaseAddress, writers: number): Promise<History> {
    await migrate(address);
    const store = new SqlStore(address, { replicated: true, poolSize: writers });
    const crypto = serverCrypto();
    const keyring = createKeyring(crypto, new Map([[1, new Uint8Array(32).fill(7)]]), 1);
    // Passwords are not what is tested here.
    const passwords = {
      hash: async (text: string) => text,
      verify: async (hash: string, text: string) => hash === text,
    };
    const access: AccessContext = { store: store.in('history'), crypto, keyring, passwords };
    await ensureRealm(access);
    await changeSettings(access, { rotateAfterMs: 0 }, BY);
    await putGroup(access, 'staff', BY);
    const history = new History(access, store);
    history.#writers = Array.from({ length: writers }, (_, i) => history.#write(`w${i}`));
    return history;
  }

  /** Waits until writes are acknowledged again. */
  async goesOn(): Promise<void> {
    const before = this.acknowledged;
    const deadline = performance.now() + 120_000;
    while (this.acknowledged < before + 20) {
      if (performance.now() > deadline) throw new Error('no writes are acknowledged any more');
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#writers);
  }

  /** Holds everything that was acknowledged against the database. Every number must be 0. */
  async check(): Promise<Record<string, number>> {
    const { store, crypto } = this.#access;
    const rows = await store.transaction(async ({ tables }) => ({
      installations: await tables.installations.list(),
      sessions: await tables.sessions.list(),
      revocations: await tables.revocations.list(),
      policies: await tables.policies.list(),
      realm: (await tables.realms.find({ id: 'realm' }))!,
    }));
    const audit = await store
      .transaction((transaction) => verifyAudit(transaction, crypto))
      .then(
        () => 0,
        () => 1,
      );
    await this.#store.close();
    const installations = new Map(rows.installations.map((row) => [row.id, row]));
    const sessions = new Set(rows.sessions.map(({ id }) => id));
    const revocations = new Map(rows.revocations.map((row) => [row.requestId, row.index]));
    const policies = new Map(rows.policies.map((row) => [row.name, versionOf(row.rule)]));
    const missing = <T>(of: Iterable<T>, there: (one: T) => boolean): number =>
      [...of].filter((one) => !there(one)).length;
    const done = this.#done;
    return {
      'acknowledged enrolments that are lost': missing(done.installations, (id) => installations.has(id)),
      'acknowledged sessions that are lost': missing(done.sessions, (id) => sessions.has(id)),
      'acknowledged revocations that are lost or moved': missing(
        done.revocations,
        ([id, at]) => revocations.get(id) === at,
      ),
      'key generations that went back': missing(
        done.generations,
        ([id, generation]) => (installations.get(id)?.generation ?? -1) >= generation,
      ),
      'policies that went back': missing(done.policies, ([name, version]) => (policies.get(name) ?? -1) >= version),
      'gaps in the revocation log':
        gaps(rows.revocations.map(({ index }) => index)) + (rows.realm.head - rows.revocations.length),
      'revocations that stand twice': rows.revocations.length - revocations.size,
      'breaks of the audit log': audit,
    };
  }

  /** One writer: its user enrols, signs in with rotating keys, is revoked, and has a policy that changes. */
  async #write(name: string): Promise<void> {
    for (let turn = 1; !this.#stopped; turn++) {
      const user = `${name}.u`;
      await this.#acknowledge('users', () => putUser(this.#access, user, { password: 'pw' }, BY));
      const installation = await this.#enrol(user);
      if (installation) await this.#logins(installation, 6);
      if (installation) await this.#revoke('installation', installation);
      await this.#policy(name, turn);
    }
  }

  async #enrol(user: string): Promise<string | undefined> {
    const issued = await this.#acknowledge('codes', () => issueCode(this.#access, user, undefined, BY));
    if (!issued) return undefined;
    const request = {
      code: issued.id,
      user,
      verify: async () => ({ fit: true, why: '' }),
      deviceStatic: this.#access.crypto.randomBytes(32),
      signingKey: { kty: 'EC', x: issued.id },
      sharedKey: keyOf<SharedKey>(this.#access.crypto.randomBytes(32)),
      app: 'rig@1',
      model: 'rig',
    };
    // As a device does: the same code and keys again, until there is an answer.
    const result = await this.#acknowledge('enrolments', () => enrol(this.#access, request));
    if (result?.status !== 'ok') return undefined;
    this.#done.installations.add(result.installation.id);
    return result.installation.id;
  }

  async #logins(installationId: string, count: number): Promise<void> {
    const { store, keyring, crypto } = this.#access;
    for (let i = 0; i < count && !this.#stopped; i++) {
      const session = await this.#acknowledge('logins with key rotation', async () => {
        const row = await store.transaction(({ tables }) => tables.installations.find({ id: installationId }));
        const candidates = row ? keyCandidates(store.realm, keyring, row) : [];
        const used = candidates.find(({ slot }) => slot === 'next') ?? candidates[0];
        if (!used) throw new Error('the installation has no key');
        const random = crypto.randomBytes(32);
        const outcome = { handshakeHash: random, clientRandom: random, serverRandom: random, kemSecret: random };
        return createSession(this.#access, { installationId, used, outcome, app: 'rig@1' });
      });
      if (!session) continue;
      this.#done.sessions.add(session.row.id);
      const { rotate, generation } = session.rotation;
      // What was promised for the next login counts only once it is current.
      this.#done.generations.set(installationId, rotate ? generation - 1 : generation);
      if (i % 3 === 0) await this.#revoke('session', session.row.id);
    }
  }

  async #revoke(kind: 'session' | 'installation', subject: string): Promise<void> {
    const requestId = randomUUID();
    const row = await this.#acknowledge('revocations', () => revoke(this.#access, { requestId, kind, subject }, BY));
    if (row) this.#done.revocations.set(requestId, row.index);
  }

  async #policy(name: string, version: number): Promise<void> {
    const input = { groups: ['staff'], resources: [], context: {}, paths: [`/v${version}`] };
    const done = await this.#acknowledge('policy changes', () => putPolicy(this.#access, `${name}.policy`, input, BY));
    if (done) this.#done.policies.set(`${name}.policy`, version);
  }

  /** Repeats a write with the same ids until it is acknowledged, as whoever asked for it would. */
  async #acknowledge<T>(kind: string, write: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        const result = await write();
        const now = performance.now();
        if (now - this.#lastAt > 300) this.pauses.push(now - this.#lastAt);
        this.#lastAt = now;
        this.acknowledged += 1;
        this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
        return result;
      } catch (error) {
        const { code } = error as StoreError;
        if (code === 'ERR_STORE_UNKNOWN') this.unknown += 1;
        else if (code !== 'ERR_STORE_UNAVAILABLE' && code !== 'ERR_STORE_CONFLICT') throw error;
        if (this.#stopped) return undefined;
        await sleep(50 + Math.random() * 100);
      }
    }
  }
}

function versionOf(rule: unknown): number {
  return Number((rule as { paths: string[] }).paths[0]!.slice(2));
}

function gaps(indexes: readonly number[]): number {
  return [...indexes].sort((a, b) => a - b).filter((index, i) => index !== i + 1).length;
}
