import { decodeText, encodeText } from '@sallyport/channel';
import type { Keyring } from '../sealing/keyring.ts';
import type { JournalEntry } from './journal.ts';

/** Some entries of one epoch's log, in a row, as they are kept at a target of backups. */
export interface JournalCopy {
  readonly epoch: string;
  /** Epochs that this one takes the place of. */
  readonly supersedes: readonly string[];
  readonly entries: readonly JournalEntry[];
}

/** Where a copy is among those of its realm: who puts one in the place of another is found out. */
export interface CopyPlace {
  readonly realm: string;
  readonly epoch: string;
  readonly first: number;
  readonly last: number;
}

function purposeOf({ realm, epoch, first, last }: CopyPlace): string {
  return `${realm}/journal copy/${epoch}/${first}-${last}`;
}

/** Encrypts a copy with the key-encryption key, bound to its place: a target can read nothing of it, and forge nothing. */
export function sealCopy(keyring: Keyring, realm: string, copy: JournalCopy): Uint8Array {
  const { epoch, entries } = copy;
  const place = { realm, epoch, first: entries[0]!.index, last: entries.at(-1)!.index };
  return keyring.wrap(encodeText(JSON.stringify(copy)), purposeOf(place));
}

/** @throws AccessError ERR_ACCESS_UNWRAP when it is not what Security wrote for this place, or the key is missing */
export function openCopy(keyring: Keyring, place: CopyPlace, bytes: Uint8Array): JournalCopy {
  return JSON.parse(decodeText(keyring.unwrapKept(bytes, purposeOf(place)))) as JournalCopy;
}
