import {
  decodeSessionTold,
  deriveEndKey,
  encodeSessionAsk,
  encodeSessionEnd,
  MESSAGE_TYPES,
  parseHex,
  verifySessionMac,
} from '@sallyport/channel';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  endByDevice,
  endReplacedSessions,
  PURPOSES,
  putUser,
  type RealmStore,
  replacedSessions,
  revoke,
  type SessionRow,
  tellDevice,
} from '../../src/index.ts';
import { sampleSession } from '../sample-session.ts';
import { BY, scene } from '../scene.ts';

const DAY_MS = 86_400_000;
let made = 0;

/** A session in the store, as a sign-in makes it. */
async function session(access: AccessContext, over: Partial<SessionRow> = {}): Promise<SessionRow> {
  made += 1;
  const id = made.toString(16).padStart(32, '0');
  const secret = new Uint8Array(32).fill(made);
  const { realm } = access.store;
  return access.store.transaction(async ({ tables, now }) => {
    const row = sampleSession(id, {
      installationId: 'i1',
      userId: (await tables.users.list())[0]!.id,
      secret: access.keyring.wrap(secret, PURPOSES.session(realm, id)),
      createdAt: now() + made,
      expiresAt: now() + DAY_MS,
      endKey: access.keyring.wrap(deriveEndKey(access.crypto, secret), PURPOSES.sessionEnd(realm, id)),
      ...over,
    });
    await tables.sessions.insert(row);
    return row;
  });
}

async function begun() {
  const parts = await scene();
  await putUser(parts.access, 'ada', { password: 'long enough' }, BY);
  const log = () => parts.access.store.transaction(({ tables }) => tables.revocations.list());
  const stored = (id: string) => parts.access.store.transaction(({ tables }) => tables.sessions.find({ id }));
  return { ...parts, log, stored };
}

function endOf(access: AccessContext, { id }: SessionRow, type: 0x12 | 0x13 = MESSAGE_TYPES.END): Uint8Array {
  const key = deriveEndKey(access.crypto, new Uint8Array(32).fill(Number.parseInt(id, 16)));
  return encodeSessionEnd(access.crypto, type, key, parseHex(id));
}

test('a device ends its session: an entry of the log, and the same answer however often it asks', async () => {
  const { access, log, stored } = await begun();
  const row = await session(access);
  const other = await session(access);
  const ended = endOf(access, row, MESSAGE_TYPES.ENDED);
  for (let i = 0; i < 3; i++) expect(await endByDevice(access, endOf(access, row))).toEqual(ended);
  expect(await log()).toMatchObject([{ kind: 'session', subject: row.id, actor: 'ada' }]);
  expect((await stored(row.id))!.endReason).toContain('signed out');
  expect((await stored(other.id))!.endedAt).toBeNull();
});

test('a session whose secret is erased, or that is over, is still acknowledged, and nothing is written', async () => {
  const { access, log } = await begun();
  const over = [
    await session(access, { endedAt: 1, endReason: 'lost', secret: new Uint8Array(0) }),
    await session(access, { expiresAt: 1 }),
  ];
  for (const row of over)
    expect(await endByDevice(access, endOf(access, row))).toEqual(endOf(access, row, MESSAGE_TYPES.ENDED));
  expect(await log()).toEqual([]);
});

test('a session of the version before has no end key of its own, and ends all the same', async () => {
  const { access, log } = await begun();
  const row = await session(access, { endKey: null });
  expect(await endByDevice(access, endOf(access, row))).toEqual(endOf(access, row, MESSAGE_TYPES.ENDED));
  expect(await log()).toHaveLength(1);
});

test('an unknown session and a wrong mac are the same, and write nothing', async () => {
  const { access, log } = await begun();
  const row = await session(access);
  const other = await session(access);
  const right = endOf(access, row);
  const audit = () => access.store.transaction(({ tables }) => tables.audit.count());
  const before = await audit();
  const wrong = [
    ...Array.from({ length: right.length - 2 }, (_, i) => right.map((byte, at) => (at === i + 2 ? byte ^ 1 : byte))),
    // The key of another session, and the answer in place of the question.
    Uint8Array.from([...right.subarray(0, 18), ...endOf(access, other).subarray(18)]),
    Uint8Array.from([MESSAGE_TYPES.END, ...endOf(access, row, MESSAGE_TYPES.ENDED).subarray(1)]),
  ];
  for (const message of wrong) expect(await endByDevice(access, message)).toBeUndefined();
  expect(await log()).toEqual([]);
  expect(await audit()).toBe(before);
});

test.each([
  ['one session stays', [0], []],
  ['a newer one that nobody has used may be a lost answer', [5, 0], []],
  ['its first channel ends what is older', [5, 1], [0]],
  ['all that is older, used or not', [5, 0, 3, 1], [0, 1, 2]],
  ['of many that nobody has used the newest stays beside the last used one', [2, 7, 0, 0, 0], [0, 2, 3]],
  ['without any that was used the newest stays', [0, 0, 0], [0, 1]],
])('%s', (_what, channels, ending) => {
  const rows = channels.map((chanNo, i) => ({ id: `s${i}`, createdAt: i, chanNo }) as SessionRow);
  expect(
    replacedSessions(rows)
      .map(({ id }) => Number(id.slice(1)))
      .sort(),
  ).toEqual(ending);
});

test('sessions that make way go through the log, and those of other installations stay', async () => {
  const { access, log, stored } = await begun();
  const rows = [await session(access, { chanNo: 3 }), await session(access), await session(access, { chanNo: 1 })];
  const other = await session(access, { installationId: 'i2' });
  expect((await endReplacedSessions(access, ['i1'])).toSorted()).toEqual([rows[0]!.id, rows[1]!.id]);
  expect((await log()).map(({ subject }) => subject).toSorted()).toEqual([rows[0]!.id, rows[1]!.id]);
  for (const { id } of [rows[2]!, other]) expect((await stored(id))!.endedAt).toBeNull();
  expect(await endReplacedSessions(access, ['i1'])).toEqual([]);
});

test('a session that somebody ends before the lock is theirs, and goes into the log once', async () => {
  const { access, log, stored } = await begun();
  const old = await session(access, { chanNo: 3 });
  await session(access, { chanNo: 1 });
  const transaction: RealmStore['transaction'] = (work, urgency) =>
    access.store.transaction(({ tables, ...rest }) => {
      const find: typeof tables.realms.find = async (key, lock) => {
        // What others commit while a lock is waited for is seen behind it.
        if (lock === 'update')
          await tables.sessions.update({ where: { id: old.id } }, { endedAt: 5, endReason: 'lost' });
        return tables.realms.find(key, lock);
      };
      return work({ tables: { ...tables, realms: { ...tables.realms, find } }, ...rest });
    }, urgency);
  const raced = { ...access, store: { realm: access.store.realm, transaction } };
  expect(await endReplacedSessions(raced, ['i1'])).toEqual([]);
  expect(await log()).toEqual([]);
  expect(await stored(old.id)).toMatchObject({ endedAt: 5, endReason: 'lost' });
});

/** What Security tells the device of a session; undefined when it tells nothing. */
async function told(access: AccessContext, row: SessionRow, change: (ask: Uint8Array) => Uint8Array = (ask) => ask) {
  const key = deriveEndKey(access.crypto, new Uint8Array(32).fill(Number.parseInt(row.id, 16)));
  const nonce = new Uint8Array(16).fill(7);
  const answer = await tellDevice(access, change(encodeSessionAsk(access.crypto, key, parseHex(row.id), nonce)));
  if (!answer) return undefined;
  expect(verifySessionMac(access.crypto, key, answer)).toBe(true);
  expect(decodeSessionTold(answer)).toMatchObject({ sid: parseHex(row.id), nonce });
  return decodeSessionTold(answer).standing;
}

async function enrolled() {
  const parts = await begun();
  await parts.access.store.transaction(async ({ tables, now }) => {
    const keys = { currentKey: null, nextKey: null, previousKey: null, rotatedAt: 0, generation: 0 };
    const named = { id: 'i1', userId: (await tables.users.list())[0]!.id, app: 'a@1', model: '' };
    const made = {
      deviceStatic: new Uint8Array(32),
      signingKey: {},
      createdAt: now(),
      lastSeenAt: null,
      resumeId: null,
    };
    await tables.installations.insert({ ...named, ...keys, ...made, status: 'active' });
  });
  return parts;
}

test.each([
  ['live', async () => undefined],
  ['signed-out', async (access, row) => void (await endByDevice(access, endOf(access, row)))],
  [
    'session',
    async (access, { id }) => void (await revoke(access, { requestId: 'r', kind: 'session', subject: id }, BY)),
  ],
  [
    'installation',
    async (access) => void (await revoke(access, { requestId: 'r', kind: 'installation', subject: 'i1' }, BY)),
  ],
  [
    'user',
    async (access, { userId }) => void (await revoke(access, { requestId: 'r', kind: 'user', subject: userId }, BY)),
  ],
  ['app', async (access) => void (await revoke(access, { requestId: 'r', kind: 'app', subject: 'a@1' }, BY))],
  ['all', async (access) => void (await revoke(access, { requestId: 'r', kind: 'before', subject: 'now' }, BY))],
] as [string, (access: AccessContext, row: SessionRow) => Promise<void>][])(
  'a device that asks is told how its session stands: %s',
  async (standing, happen) => {
    const { access } = await enrolled();
    const row = await session(access, { createdAt: 1_800_000_000_000 });
    await happen(access, row);
    expect(await told(access, row)).toBe(standing);
  },
);

test('a device is told that its time is over, and that a newer session took its place', async () => {
  const { access } = await enrolled();
  expect(await told(access, await session(access, { expiresAt: 1 }))).toBe('expired');
  const old = await session(access);
  await session(access, { chanNo: 1 });
  expect(await endReplacedSessions(access, ['i1'])).toContain(old.id);
  expect(await told(access, old)).toBe('replaced');
});

test('nobody without the key of a session learns how it stands, and asking writes nothing', async () => {
  const { access, log } = await enrolled();
  const row = await session(access);
  for (const at of [2, 18, 34, 49])
    expect(await told(access, row, (ask) => ask.map((byte, i) => (i === at ? byte ^ 1 : byte)))).toBeUndefined();
  expect(await told(access, row)).toBe('live');
  expect(await log()).toEqual([]);
});
