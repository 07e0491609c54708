import { concat, encodeText, equalBytes, SID_BYTES } from '@sallyport/channel';
import type { AccessContext } from '../realm/context.ts';

/** An id is `random(10) | mark(6)`. */
const MARK_BYTES = 6;
const RANDOM_BYTES = SID_BYTES - MARK_BYTES;

/** What marks of session ids are made with. */
type SessionMarker = Pick<AccessContext, 'keyring' | 'store'>;

/** A new id of a session, `SID_BYTES` bytes, that this realm knows for its own without a look into the store. */
export function newSessionId(access: SessionMarker & Pick<AccessContext, 'crypto'>): Uint8Array {
  const random = access.crypto.randomBytes(SID_BYTES).subarray(0, RANDOM_BYTES);
  return concat(random, marksOf(access, random)[0]!);
}

/**
 * True for an id that this realm once gave to a session, false for all but one of 2^48 made-up ones. It says nothing of whether
 * the session is good, or the asker its device: it keeps strangers out of the way of those who have a session.
 */
export function isOurSession(access: SessionMarker, sid: Uint8Array): boolean {
  if (sid.length !== SID_BYTES) return false;
  const mark = sid.subarray(RANDOM_BYTES);
  return marksOf(access, sid.subarray(0, RANDOM_BYTES)).some((ours) => equalBytes(ours, mark));
}

function marksOf({ keyring, store }: SessionMarker, random: Uint8Array): readonly Uint8Array[] {
  const marks = keyring.marks(concat(encodeText(`session/${store.realm}/`), random));
  return marks.map((mark) => mark.subarray(0, MARK_BYTES));
}
