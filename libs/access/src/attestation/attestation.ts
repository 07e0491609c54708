import type { EvidenceLevel, ProvenFacts } from '@sallyport/security-api';

/**
 * Why evidence proves nothing. `challenge-…`: not ours or for another installation or realm, too old, used before; `challenge-other`: what
 * the platform attested is for another challenge, key or installation. `proof-wrong`: not signed by the installation's key. `counter-old`: a counter
 * that did not rise. The others say what they are.
 */
export type EvidenceFault =
  | 'malformed'
  | 'connector-unknown'
  | 'software-refused'
  | 'challenge-foreign'
  | 'challenge-expired'
  | 'challenge-used'
  | 'challenge-other'
  | 'proof-wrong'
  | 'root-unknown'
  | 'chain-broken'
  | 'chain-extended'
  | 'certificate-expired'
  | 'certificate-revoked'
  | 'app-other'
  | 'app-unrecognised'
  | 'device-unrecognised'
  | 'environment-other'
  | 'boot-unverified'
  | 'patch-old'
  | 'not-hardware'
  | 'key-other'
  | 'counter-old';

/** A key of the platform that later evidence is signed with, and how far its counter is. */
export interface AttestedKey {
  /** Id by which the platform calls it, base64url. */
  readonly id: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly counter: number;
}

/** What a connector is asked to verify. */
export interface EvidenceClaim {
  /** Which connector made it, in the device's word. */
  readonly connector: string;
  /** What the platform gave, in the form of that connector. */
  readonly statement: Uint8Array;
  /** What the platform was to attest: a hash over realm, challenge, installation and its signing key, 32 bytes. */
  readonly bound: Uint8Array;
  /** Id of the app that signed in. */
  readonly app: string;
  /** Key that earlier evidence of this installation has brought, if any. */
  readonly key: AttestedKey | undefined;
  /** Epoch ms. */
  readonly now: number;
}

/** What evidence has proved. */
export interface Proven {
  readonly level: EvidenceLevel;
  readonly facts: ProvenFacts;
  /** The key to hold later evidence against, where the platform has one. */
  readonly key?: AttestedKey;
}

/** Nothing is proved, and why. */
export interface Unproven {
  readonly fault: EvidenceFault;
}

/** Verifies evidence by connectors. Asks nobody: what it knows of platforms was given by the operator. */
export interface Attestation {
  /** Never throws for what a device sent. */
  verify(claim: EvidenceClaim): Promise<Proven | Unproven>;
}
