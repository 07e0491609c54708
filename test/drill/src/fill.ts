import { setTimeout as sleep } from 'node:timers/promises';
import { hash } from '@node-rs/argon2';
import { type InstallationRow, type Keyring, PURPOSES, type RealmStore, type UserRow } from '@sallyport/access';
import type { Transaction } from '@sallyport/access/store';
import { concat, encodeCbor, encodeText } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import {
  drawn,
  FILL_APP,
  FILL_GROUP,
  FILL_PASSWORD,
  filledInstallation,
  filledKeys,
  filledUser,
  lookAlikeKey,
  sharedKeyOf,
} from './filled.ts';

/** How a realm is filled. */
export interface Fill {
  /** As many users, each with one installation. */
  readonly installations: number;
  /** The same seed fills with the same users, installations and keys. */
  readonly seed: number;
  /** The first so many have keys with which a device can sign in; the others have keys that fit nothing. */
  readonly real: number;
  /** Hears how many are written. */
  readonly progress?: (written: number) => void;
}

/** Rows of one statement, and transactions at once. */
const BATCH = 1_000;
const AT_ONCE = 3;
const TRIES = 20;
const PAUSE_MS = 500;
const crypto = serverCrypto();

/**
 * Fills a realm with users, installations and one audit event for each, as Security would have written them: give it the
 * sealed store. Security may work with the realm meanwhile. A second fill by the same seed fails with ERR_STORE_CONFLICT.
 */
export async function fillRealm(store: RealmStore, keyring: Keyring, fill: Fill): Promise<void> {
  const passwordHash = await hash(FILL_PASSWORD);
  await store.transaction(async ({ tables, now }) => {
    if (!(await tables.groups.find({ name: FILL_GROUP })))
      await tables.groups.insert({ name: FILL_GROUP, createdAt: now() });
  });
  let begun = 0;
  let written = 0;
  const worker = async (): Promise<void> => {
    while (begun < fill.installations) {
      const from = begun;
      begun += BATCH;
      const to = Math.min(begun, fill.installations);
      await patiently({ store, keyring, fill, passwordHash, from, to });
      written += to - from;
      fill.progress?.(written);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Writes a batch. A busy database that did nothing is asked again, and one that did not say whether it did, what is there. */
async function patiently(batch: Batch): Promise<void> {
  const { store, fill, from } = batch;
  for (let tries = 1; ; tries++) {
    try {
      return await store.transaction(async (transaction) => {
        const before = tries > 1 && (await transaction.tables.users.find({ id: filledUser(fill.seed, from).id }));
        if (!before) await writeBatch(transaction, batch);
      });
    } catch (error) {
      const { code = '' } = error as { code?: string };
      if (!['ERR_STORE_UNAVAILABLE', 'ERR_STORE_UNKNOWN'].includes(code) || tries === TRIES) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

interface Batch {
  readonly store: RealmStore;
  readonly keyring: Keyring;
  readonly fill: Fill;
  readonly passwordHash: string;
  readonly from: number;
  readonly to: number;
}

async function writeBatch(transaction: Transaction, batch: Batch): Promise<void> {
  const { tables } = transaction;
  const at = transaction.now();
  const numbers = Array.from({ length: batch.to - batch.from }, (_, i) => batch.from + i);
  const { seed } = batch.fill;
  await tables.users.insertEach(numbers.map((i) => userRow(seed, i, { at, passwordHash: batch.passwordHash })));
  await tables.members.insertEach(
    numbers.map((i) => ({ groupName: FILL_GROUP, userId: filledUser(seed, i).id, source: '' })),
  );
  await tables.installations.insertEach(numbers.map((i) => installationRow(batch, i, at)));
  await auditEach(transaction, { seed, numbers, at });
}

function userRow(seed: number, i: number, by: { at: number; passwordHash: string }): UserRow {
  return {
    ...filledUser(seed, i),
    displayName: `Filled Person ${i}`,
    passwordHash: by.passwordHash,
    enabled: true,
    outByOperator: false,
    outByDirectory: false,
    directory: '',
    pastAccount: '',
    createdAt: by.at,
  };
}

function installationRow({ store, keyring, fill }: Batch, i: number, at: number): InstallationRow {
  const { seed, real } = fill;
  const id = filledInstallation(seed, i);
  const keys = i < real ? filledKeys(seed, i) : undefined;
  return {
    id,
    userId: filledUser(seed, i).id,
    deviceStatic: keys?.deviceStatic ?? drawn(seed, 'static', i),
    signingKey: keys?.signing.publicJwk ?? lookAlikeKey(seed, i),
    status: 'active',
    generation: 0,
    currentKey: keyring.wrap(sharedKeyOf(seed, i), PURPOSES.sharedKey(store.realm, id)),
    nextKey: null,
    previousKey: null,
    rotatedAt: at,
    app: `${FILL_APP}@1.0.0`,
    model: 'filled',
    createdAt: at,
    lastSeenAt: at,
    resumeId: null,
  };
}

/** One event for each installation. The chain is made here as Security makes it, which checks it as it checks its own. */
async function auditEach(
  { tables }: Transaction,
  { seed, numbers, at }: { seed: number; numbers: readonly number[]; at: number },
): Promise<void> {
  const head = (await tables.auditHeads.find({ id: 'head' }, 'update'))!;
  let { seq, hash: previousHash } = head;
  const rows = numbers.map((i) => {
    seq++;
    const text = { actor: filledUser(seed, i).name, action: 'enrol', subject: filledInstallation(seed, i) };
    const body = encodeCbor([seq, at, text.actor, text.action, text.subject, 'done', '']);
    const row = {
      ...text,
      seq,
      at,
      outcome: 'done',
      reason: '',
      previousHash,
      hash: crypto.sha256(concat(encodeText('sallyport/1 audit'), previousHash, body)),
    };
    previousHash = row.hash;
    return row;
  });
  await tables.audit.insertEach(rows);
  await tables.auditHeads.update({ where: { id: 'head' } }, { seq, hash: previousHash });
}
