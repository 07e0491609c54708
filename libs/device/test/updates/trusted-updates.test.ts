import { parseUpdate, type UpdateRole } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import type { StoredUpdates } from '../../src/index.ts';
import { refreshUpdates } from '../../src/updates/trusted-updates.ts';
import { type Made, NOW, Repository, ROLES, rootOf, SIGNERS, signedBy } from './repository.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A device that keeps what it verified, and may be stopped at a write. */
class Phone {
  kept: StoredUpdates;
  nowMs = NOW;
  writes = 0;
  stopAt = Number.POSITIVE_INFINITY;
  readonly repository: Repository;

  constructor(repository: Repository) {
    this.repository = repository;
    this.kept = { pin: repository.pin };
  }

  look() {
    const read = async (name: string, maxBytes: number) => this.repository.files.get(name)?.subarray(0, maxBytes + 1);
    const store = async (updates: StoredUpdates) => {
      this.writes += 1;
      if (this.writes === this.stopAt) throw new Error('stopped');
      this.kept = updates;
    };
    return refreshUpdates({ crypto: nodeCrypto(), read, store, nowMs: this.nowMs }, this.kept);
  }
}

function made(of?: Made): { repository: Repository; phone: Phone } {
  const repository = new Repository();
  if (of) repository.publish(of);
  return { repository, phone: new Phone(repository) };
}

test('metadata that is signed as the pinned root says is taken, and again', async () => {
  const { repository, phone } = made();
  expect((await phone.look()).version).toBe(1);
  repository.publish({ timestamp: 2, snapshot: 2, targets: 2 });
  expect((await phone.look()).version).toBe(2);
  expect(phone.kept).toMatchObject({ timestamp: 2, snapshot: 2, targets: 2 });
});

/** Attacks on a device that has seen version 5 of everything, each by whoever serves the files, or has some of the keys. */
const ATTACKS: readonly (readonly [
  name: string,
  code: string,
  attack: (repository: Repository, phone: Phone) => void,
])[] = [
  ['a rollback of the timestamp', 'UPDATE_ROLLBACK', (r) => r.publish({ timestamp: 4, snapshot: 5, targets: 5 })],
  ['a rollback of the snapshot', 'UPDATE_ROLLBACK', (r) => r.publish({ timestamp: 6, snapshot: 4, targets: 5 })],
  ['a rollback of the targets', 'UPDATE_ROLLBACK', (r) => r.publish({ timestamp: 6, snapshot: 6, targets: 4 })],
  [
    'a freeze',
    'UPDATE_EXPIRED',
    (_r, phone) => {
      phone.nowMs = NOW + 25 * HOUR_MS;
    },
  ],
  [
    'a freeze with a clock that was set back',
    'UPDATE_EXPIRED',
    (_r, phone) => {
      phone.kept = { ...phone.kept, newestAt: NOW + 25 * HOUR_MS };
      phone.nowMs = NOW - DAY_MS;
    },
  ],
  [
    'an old snapshot of a new timestamp',
    'UPDATE_EXPIRED',
    (r, phone) => {
      r.publish({ timestamp: 6, snapshot: 5, targets: 5, timestampDays: 30 });
      phone.nowMs = NOW + 8 * DAY_MS;
    },
  ],
  [
    'mix and match: another snapshot than the timestamp names',
    'UPDATE_MIXED',
    (r) => {
      const other = new Repository();
      other.publish({ timestamp: 6, snapshot: 6, targets: 6 });
      r.publish({ timestamp: 6, snapshot: 6, targets: 5 });
      r.files.set('6.snapshot.json', other.files.get('6.snapshot.json')!);
    },
  ],
  [
    'mix and match: other targets than the snapshot names',
    'UPDATE_MIXED',
    (r) =>
      r.put(
        '5.targets.json',
        signedBy({ ...contentOf(r, 'targets', '5.targets.json'), expires: '2099-01-01T00:00:00Z' }, SIGNERS.targets),
      ),
  ],
  ['no targets at all', 'UPDATE_MIXED', (r) => void r.files.delete('5.targets.json')],
  [
    'a snapshot in place of the timestamp',
    'UPDATE_MALFORMED',
    (r) => void r.files.set('timestamp.json', r.files.get('5.snapshot.json')!),
  ],
  [
    'a timestamp signed by the key of the snapshot',
    'UPDATE_SIGNATURE',
    (r) => r.publish({ timestamp: 6, signers: { ...SIGNERS, timestamp: [5] } }),
  ],
  [
    'targets signed by online keys',
    'UPDATE_SIGNATURE',
    (r) => r.publish({ timestamp: 6, snapshot: 6, targets: 6, signers: { ...SIGNERS, targets: [5, 6] } }),
  ],
  [
    'targets with one signature of two',
    'UPDATE_SIGNATURE',
    (r) => r.publish({ timestamp: 6, snapshot: 6, targets: 6, signers: { ...SIGNERS, targets: [3] } }),
  ],
  [
    'targets with one signature twice',
    'UPDATE_SIGNATURE',
    (r) => {
      const update = signedBy(contentOf(r, 'targets', '5.targets.json'), [3]);
      publishTargets(r, { ...update, signatures: [...update.signatures, ...update.signatures] });
    },
  ],
  [
    'a new root that the old keys did not sign',
    'UPDATE_SIGNATURE',
    (r) => r.put('2.root.json', signedBy(rootOf(2, { ...SIGNERS, root: [11, 12] }), [11, 12])),
  ],
  [
    'a new root that one old key of two signed',
    'UPDATE_SIGNATURE',
    (r) => r.put('2.root.json', signedBy(rootOf(2, { ...SIGNERS, root: [11, 12] }), [1, 11, 12])),
  ],
  [
    'a new root that its own keys did not sign',
    'UPDATE_SIGNATURE',
    (r) => r.put('2.root.json', signedBy(rootOf(2, { ...SIGNERS, root: [11, 12] }), [1, 2])),
  ],
  [
    'a root with a lower threshold that one key signed',
    'UPDATE_SIGNATURE',
    (r) => r.put('2.root.json', signedBy(rootOf(2, SIGNERS, { root: 1 }), [1])),
  ],
  [
    'a root that leaves a version out',
    'UPDATE_ROLLBACK',
    (r) => r.put('2.root.json', signedBy(rootOf(3, SIGNERS), SIGNERS.root)),
  ],
  [
    'the root of before in place of a new one',
    'UPDATE_ROLLBACK',
    (r) => void r.files.set('2.root.json', r.files.get('1.root.json')!),
  ],
  [
    'a root that is over',
    'UPDATE_EXPIRED',
    (_r, phone) => {
      phone.nowMs = NOW + 366 * DAY_MS;
    },
  ],
  ['an endless timestamp', 'UPDATE_TOO_LARGE', (r) => void r.files.set('timestamp.json', new Uint8Array(1_000_000))],
  ['an endless root', 'UPDATE_TOO_LARGE', (r) => void r.files.set('2.root.json', new Uint8Array(1_000_000))],
  ['an endless snapshot', 'UPDATE_TOO_LARGE', (r) => void r.files.set('5.snapshot.json', new Uint8Array(3_000_000))],
  [
    'metadata over which there is no signature',
    'UPDATE_MALFORMED',
    (r) =>
      void r.files.set('timestamp.json', changed(r.files.get('timestamp.json')!, '"signed":{', '"signed":{"x":1.5,')),
  ],
  ['rubbish', 'UPDATE_MALFORMED', (r) => void r.files.set('timestamp.json', Uint8Array.of(1, 2, 3))],
];

function changed(bytes: Uint8Array, before: string, after: string): Uint8Array {
  return new TextEncoder().encode(new TextDecoder().decode(bytes).replace(before, after));
}

function contentOf(repository: Repository, role: UpdateRole, name: string) {
  return parseUpdate(role, repository.files.get(name)!).signed;
}

/** Serves targets that whoever has the online keys made all others fit to. */
function publishTargets(repository: Repository, update: Parameters<Repository['put']>[1]): void {
  repository.publish({ timestamp: 6, snapshot: 6, targets: 5 });
  repository.put('5.targets.json', update);
  const bytes = repository.files.get('5.targets.json')!;
  const sha256 = Buffer.from(nodeCrypto().sha256(bytes)).toString('hex');
  const meta = { 'targets.json': { version: 5, length: bytes.length, hashes: { sha256 } } };
  const snapshot = signedBy({ ...contentOf(repository, 'snapshot', '6.snapshot.json'), meta }, SIGNERS.snapshot);
  repository.put('6.snapshot.json', snapshot);
  const file = repository.files.get('6.snapshot.json')!;
  const newest = {
    version: 6,
    length: file.length,
    hashes: { sha256: Buffer.from(nodeCrypto().sha256(file)).toString('hex') },
  };
  const timestamp = { ...contentOf(repository, 'timestamp', 'timestamp.json'), meta: { 'snapshot.json': newest } };
  repository.put('timestamp.json', signedBy(timestamp, SIGNERS.timestamp));
}

test.each(ATTACKS)(
  '%s is refused as %s, and nothing of it is kept that was not verified',
  async (_name, code, attack) => {
    const { repository, phone } = made({ timestamp: 5, snapshot: 5, targets: 5 });
    await phone.look();
    const before = phone.kept;
    attack(repository, phone);
    await expect(phone.look()).rejects.toMatchObject({ code });
    const { timestamp, snapshot, targets, root } = phone.kept;
    expect(root).toBe(before.root);
    for (const [now, then] of [
      [timestamp, before.timestamp],
      [snapshot, before.snapshot],
      [targets, before.targets],
    ] as const)
      expect(now).toBeGreaterThanOrEqual(then!);
    // What is right afterwards is taken: an attack does not shut a device out, unless somebody signed a far version.
    const right = new Repository();
    right.publish({ timestamp: 7, snapshot: 7, targets: 7 });
    for (const [name, bytes] of right.files) repository.files.set(name, bytes);
    repository.files.delete('2.root.json');
    phone.nowMs = NOW;
    if (!phone.kept.newestAt || phone.kept.newestAt === NOW) expect((await phone.look()).version).toBe(7);
  },
);

test('another root than the one that was pinned is refused', async () => {
  const { repository, phone } = made();
  repository.put('1.root.json', signedBy(rootOf(1, { ...SIGNERS, root: [11] }), [11]));
  await expect(phone.look()).rejects.toMatchObject({ code: 'UPDATE_SIGNATURE' });
});

test('roots are followed one by one, each signed by the one before, however far a device is behind', async () => {
  const { repository, phone } = made();
  let signers = SIGNERS;
  for (let version = 2; version <= 6; version++) {
    const next = { ...SIGNERS, root: [version * 10, version * 10 + 1] };
    repository.put(`${version}.root.json`, signedBy(rootOf(version, next), [...signers.root, ...next.root]));
    signers = next;
  }
  expect((await phone.look()).version).toBe(1);
  expect(JSON.parse(phone.kept.root!).signed.version).toBe(6);
});

test('whoever ran far ahead with stolen online keys is left behind once the root names others', async () => {
  const { repository, phone } = made();
  repository.publish({ timestamp: 1_000_000, snapshot: 1_000_000, targets: 1 });
  await phone.look();
  repository.publish({ timestamp: 2, snapshot: 2, targets: 1 });
  await expect(phone.look()).rejects.toMatchObject({ code: 'UPDATE_ROLLBACK' });
  const signers = { ...SIGNERS, snapshot: [25], timestamp: [26] };
  repository.put('2.root.json', signedBy(rootOf(2, signers), SIGNERS.root));
  repository.publish({ timestamp: 2, snapshot: 2, targets: 1, signers });
  expect((await phone.look()).version).toBe(1);
  expect(phone.kept).toMatchObject({ timestamp: 2, snapshot: 2 });
});

test('a device that is stopped at any write goes on from there, and keeps no version whose check was still to come', async () => {
  for (let stopAt = 1; stopAt <= 6; stopAt++) {
    const { repository, phone } = made();
    await phone.look();
    const signers = { ...SIGNERS, snapshot: [25], timestamp: [26] };
    repository.put('2.root.json', signedBy(rootOf(2, signers), SIGNERS.root));
    repository.publish({ timestamp: 2, snapshot: 2, targets: 2, signers });
    phone.writes = 0;
    phone.stopAt = stopAt;
    await phone.look().catch((error: Error) => expect(error.message).toBe('stopped'));
    phone.stopAt = Number.POSITIVE_INFINITY;
    // Between, somebody serves a timestamp whose snapshot does not fit: its version must not shut the right one out.
    const snapshot = repository.files.get('2.snapshot.json')!;
    repository.files.set('2.snapshot.json', snapshot.subarray(1));
    await expect(phone.look()).rejects.toMatchObject({ code: 'UPDATE_MIXED' });
    expect(phone.kept.snapshot ?? 0).toBeLessThanOrEqual(stopAt > 3 ? 2 : 1);
    repository.files.set('2.snapshot.json', snapshot);
    expect((await phone.look()).version).toBe(2);
  }
});

test('every role is told apart: metadata of one is never taken for another', async () => {
  const { repository } = made();
  const names = {
    root: '1.root.json',
    targets: '1.targets.json',
    snapshot: '1.snapshot.json',
    timestamp: 'timestamp.json',
  };
  for (const role of ROLES)
    for (const other of ROLES.filter((one) => one !== role))
      expect(() => parseUpdate(other, repository.files.get(names[role])!)).toThrow(TypeError);
});
