import {
  type CryptoProvider,
  deriveRotatedKey,
  type EstablishOutcome,
  keyOf,
  type SharedKey,
} from '@sallyport/channel';
import { type Keyring, PURPOSES } from '../sealing/keyring.ts';
import type { InstallationRow } from '../session/rows.ts';

/** Which of the server's keys a device authenticated with. */
export type KeySlot = 'current' | 'next' | 'previous';

/** One key to try in a handshake. */
export interface KeyCandidate {
  readonly slot: KeySlot;
  readonly key: SharedKey;
}

const COLUMNS = { current: 'currentKey', next: 'nextKey', previous: 'previousKey' } as const;

/** The keys of an installation in the order to try them (protocol, section 4). */
export function keyCandidates(realm: string, keyring: Keyring, row: InstallationRow): KeyCandidate[] {
  const purpose = PURPOSES.sharedKey(realm, row.id);
  return (['current', 'next', 'previous'] as const).flatMap((slot) => {
    const wrapped = row[COLUMNS[slot]];
    return wrapped ? [{ slot, key: keyOf<SharedKey>(keyring.unwrap(wrapped, purpose)) }] : [];
  });
}

/** Columns that a rotation changes. */
export type RotationChange = Partial<
  Pick<InstallationRow, 'generation' | 'currentKey' | 'nextKey' | 'previousKey' | 'rotatedAt'>
>;

/** What a login does to the keys, and what the device is told. */
export interface RotationStep {
  readonly change: RotationChange;
  /** True: the device derives the next key and stores it before it sends HELLO. */
  readonly rotate: boolean;
  /** Generation of the key the device holds after this login. */
  readonly generation: number;
  /** True when the device used a key that was replaced: an old copy of it, or a second holder. */
  readonly suspicious: boolean;
}

/** What a rotation step starts from. */
export interface RotationInput {
  readonly realm: string;
  readonly crypto: CryptoProvider;
  readonly keyring: Keyring;
  readonly row: InstallationRow;
  readonly used: KeyCandidate;
  readonly outcome: EstablishOutcome;
  readonly now: number;
  readonly rotateAfterMs: number;
  readonly previousKeyGraceMs: number;
}

/** How long a key that was replaced is good at most: the time of an answer that was lost, ms, whatever the settings say. */
const MAX_PREVIOUS_GRACE_MS = 24 * 3_600_000;

/** Computes the step under the row's lock; undefined when the key's grace time is over. */
export function rotationStep(input: RotationInput): RotationStep | undefined {
  const { row, used, now } = input;
  const over = now - row.rotatedAt > Math.min(input.previousKeyGraceMs, MAX_PREVIOUS_GRACE_MS);
  if (used.slot === 'next') return promote(row, now);
  if (used.slot === 'previous') return over ? undefined : { ...prepareNext(input), suspicious: true };
  const step = now - row.rotatedAt < input.rotateAfterMs ? keep(row) : prepareNext(input);
  return over && row.previousKey ? { ...step, change: { ...step.change, previousKey: null } } : step;
}

function keep(row: InstallationRow): RotationStep {
  return { change: {}, rotate: false, generation: row.generation, suspicious: false };
}

/** The device has stored `next`: it becomes current. */
function promote(row: InstallationRow, now: number): RotationStep {
  const generation = row.generation + 1;
  return {
    change: { generation, currentKey: row.nextKey!, nextKey: null, previousKey: row.currentKey, rotatedAt: now },
    rotate: false,
    generation,
    suspicious: false,
  };
}

/** Writes `next` before the device hears of it; if that answer is lost, the device still has a key that fits. */
function prepareNext({ realm, crypto, keyring, row, used, outcome }: RotationInput): RotationStep {
  const next = deriveRotatedKey(crypto, used.key, outcome);
  const nextKey = keyring.wrap(next, PURPOSES.sharedKey(realm, row.id));
  return { change: { nextKey }, rotate: true, generation: row.generation + 1, suspicious: false };
}
