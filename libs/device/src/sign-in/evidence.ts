import { type CryptoProvider, EMPTY, type Evidence, evidenceBinding, evidenceHash } from '@sallyport/channel';
import type { DeviceRecord } from '../kept/record.ts';
import { signProof } from './signing-key.ts';

/** What the platform of a device says of app and system. */
export interface PlatformStatement {
  /** How Security verifies it: `android-key`, `play-integrity`, `app-attest` or `software`. */
  readonly connector: string;
  /** What the platform gave, in the form of the connector; at most 48 KiB. */
  readonly statement: Uint8Array;
}

/**
 * Asks the platform to vouch for this app and system, now. `hash`, 32 bytes, goes where the platform takes a challenge, nonce or
 * `clientDataHash`: it is of this realm, this installation, its signing key and one challenge of Security. Within 20 s.
 */
export type Attest = (hash: Uint8Array) => Promise<PlatformStatement>;

/**
 * Evidence in software, for development and for devices without a platform that vouches: it proves that this installation answers,
 * and nothing of app or system. A realm in production refuses it.
 */
export const attestInSoftware: Attest = async () => ({ connector: 'software', statement: EMPTY });

/** Said by a device that cannot prove anything, so that nobody waits for it. */
const NOTHING: PlatformStatement = { connector: 'none', statement: EMPTY };

/** Answers a challenge of Security (SPEC.md, section 6). What the platform cannot do now is answered with nothing. */
export async function answerChallenge(
  { crypto, attest }: { readonly crypto: CryptoProvider; readonly attest: Attest | undefined },
  { realm, iid = '', signingKey }: DeviceRecord,
  challenge: Uint8Array,
): Promise<Evidence> {
  const hash = evidenceHash(crypto, { realm, challenge, iid, signingKey: signingKey.publicJwk });
  const { connector, statement } = (await attest?.(hash).catch(() => NOTHING)) ?? NOTHING;
  const binding = evidenceBinding(crypto, { hash, connector, statement });
  return { challenge, connector, statement, proof: await signProof(signingKey, binding, iid) };
}
