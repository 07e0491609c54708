import { concat, decodeUint, encodeCbor, encodeText, encodeUint, formatHex } from '@sallyport/channel';
import type { AccessContext } from '../realm/context.ts';
import type { EvidenceFault } from './attestation.ts';

/** How long a challenge may be answered, ms: a phone may have to ask its maker's servers. */
const CHALLENGE_TTL_MS = 120_000;
const RANDOM_BYTES = 16;
const HEAD_BYTES = 8 + RANDOM_BYTES;

/** Whose challenge it is, and the time, epoch ms. */
interface ChallengeOf {
  readonly installationId: string;
  readonly now: number;
}

/**
 * A fresh challenge for one installation of this realm, opaque to everybody else: `made at u64 | random(16) | MAC(20)`. Nothing is stored for it:
 * the MAC says that it is ours, and the row of evidence which challenges are used up.
 */
export function makeChallenge(
  { crypto, keyring, store }: AccessContext,
  { installationId, now }: ChallengeOf,
): Uint8Array {
  const head = concat(encodeUint(now, 8), crypto.randomBytes(RANDOM_BYTES));
  return concat(head, keyring.mac(macInput(store.realm, installationId, head)));
}

/** When a challenge was made, epoch ms, or why it counts for nothing. */
export function readChallenge(
  { keyring, store }: AccessContext,
  challenge: Uint8Array,
  { installationId, now }: ChallengeOf,
): { readonly madeAt: number } | { readonly fault: EvidenceFault } {
  const head = challenge.subarray(0, HEAD_BYTES);
  const ours =
    challenge.length > HEAD_BYTES &&
    keyring.verifyMac(challenge.subarray(HEAD_BYTES), macInput(store.realm, installationId, head));
  if (!ours) return { fault: 'challenge-foreign' };
  const madeAt = decodeUint(head, 0, 8);
  // Both times are of the one clock that all nodes share; one that stepped back makes challenges of the future, which are as good as old ones.
  return Math.abs(now - madeAt) > CHALLENGE_TTL_MS ? { fault: 'challenge-expired' } : { madeAt };
}

/** Bytes that no row's MAC is over: those begin with an array of CBOR. */
function macInput(realm: string, installationId: string, head: Uint8Array): Uint8Array {
  return concat(encodeText('sallyport/1 evidence challenge'), encodeCbor([realm, installationId, formatHex(head)]));
}
