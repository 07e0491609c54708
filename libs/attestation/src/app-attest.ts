import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import type { AttestedKey, EvidenceClaim, Proven } from '@sallyport/access';
import {
  CborFields,
  type CborMap,
  concat,
  decodeUint,
  encodeText,
  equalBytes,
  formatBase64Url,
} from '@sallyport/channel';
import { decode } from 'cborg';
import { extensionOf, parseChain, spkiOf, type TrustedRoots, verifyChain } from './certificate-chain.ts';
import { type EvidenceConnector, expectEvidence } from './connector.ts';

/** What the operator says of Apple's devices. */
export interface AppAttestTrust {
  /** Apple's root of App Attest. */
  readonly roots: TrustedRoots;
  /** Team ids of developers; an app is `<team>.<bundle id>`. */
  readonly teams: readonly string[];
  /** Takes keys of the development environment, too. */
  readonly development: boolean;
}

const NONCE_EXTENSION = '1.2.840.113635.100.8.2';
const ENVIRONMENTS = { production: 'appattest\0\0\0\0\0\0\0', development: 'appattestdevelop' } as const;
/** Where the nonce stands in its extension: `SEQUENCE { [1] { OCTET STRING (32) } }`. */
const NONCE_PREFIX = [0x30, 0x24, 0xa1, 0x22, 0x04, 0x20];
const POINT_BYTES = 65;

/**
 * Apple App Attest. The statement is a CBOR map with `key_id` and either `attestation`, once, or `assertion`, from then on; both are what
 * Apple's framework gave for our hash as `clientDataHash`. Counters of assertions rise.
 */
export function appAttestConnector(trust: AppAttestTrust): EvidenceConnector {
  return (claim) => {
    const fields = CborFields.decode(claim.statement);
    const keyId = fields.bytes('key_id', 32);
    const key = fields.has('attestation')
      ? attestedKey(trust, claim, { keyId, attestation: fields.bytes('attestation') })
      : assertedKey(trust, claim, { keyId, assertion: fields.bytes('assertion') });
    return provenBy(claim.app, key);
  };
}

/** Apple attests key and app; a system that was broken may lie to both, which no server sees. */
function provenBy(app: string, key: AttestedKey): Proven {
  return { level: 'hardware', facts: { id: app, os: 'ios', posture: { emulator: false } }, key };
}

/** The key of an attestation object, by the nine steps of "Validating apps that connect to your server". */
function attestedKey(
  { roots, teams, development }: AppAttestTrust,
  { bound, app, now }: EvidenceClaim,
  { keyId, attestation }: { readonly keyId: Uint8Array; readonly attestation: Uint8Array },
): AttestedKey {
  const object = appleObject(attestation);
  expectEvidence(object.text('fmt', 32) === 'apple-appattest', 'malformed');
  const data = object.bytes('authData');
  const chain = parseChain(object.map('attStmt').list('x5c', 4) as readonly Uint8Array[]);
  // Apple's certificates of keys end after some months: what counts is that they held when the device sent them.
  const [own] = verifyChain(chain, { roots, now });
  expectEvidence(own!.validFromDate.getTime() <= now && now <= own!.validToDate.getTime(), 'certificate-expired');
  expectEvidence(equalBytes(nonceOf(extensionOf(own!, NONCE_EXTENSION)), sha256(data, bound)), 'challenge-other');
  const publicKey = spkiOf(own!);
  expectEvidence(equalBytes(sha256(publicKey.subarray(-POINT_BYTES)), keyId), 'key-other');
  checkApp(data, teams, app);
  expectEvidence(decodeUint(data, 33, 4) === 0, 'counter-old');
  const environment = Buffer.from(data.subarray(37, 53)).toString('latin1');
  const isProduction = environment === ENVIRONMENTS.production;
  expectEvidence(isProduction || (development && environment === ENVIRONMENTS.development), 'environment-other');
  const idBytes = decodeUint(data, 53, 2);
  expectEvidence(equalBytes(data.subarray(55, 55 + idBytes), keyId), 'key-other');
  return { id: isProduction ? formatBase64Url(keyId) : developmentId(keyId), publicKey, counter: 0 };
}

/** The key of an assertion: the one that was attested, its counter above the last. */
function assertedKey(
  { teams, development }: AppAttestTrust,
  { bound, app, key }: EvidenceClaim,
  { keyId, assertion }: { readonly keyId: Uint8Array; readonly assertion: Uint8Array },
): AttestedKey {
  expectEvidence(key !== undefined, 'key-other');
  const isDevelopment = key.id === developmentId(keyId);
  expectEvidence(isDevelopment || key.id === formatBase64Url(keyId), 'key-other');
  expectEvidence(development || !isDevelopment, 'environment-other');
  const object = appleObject(assertion);
  const data = object.bytes('authenticatorData');
  const publicKey = createPublicKey({ key: Buffer.from(key.publicKey), type: 'spki', format: 'der' });
  const signed = sha256(data, bound);
  expectEvidence(verifySignature('sha256', signed, publicKey, object.bytes('signature')), 'challenge-other');
  checkApp(data, teams, app);
  const counter = decodeUint(data, 33, 4);
  expectEvidence(counter > key.counter, 'counter-old');
  return { ...key, counter };
}

/** What a key of the development environment is kept as: assertions do not say of which one they are. */
function developmentId(keyId: Uint8Array): string {
  return `development:${formatBase64Url(keyId)}`;
}

/** An object as Apple wrote it: nobody says that its encoding is the deterministic one. */
function appleObject(bytes: Uint8Array): CborFields {
  const options = { strict: false, useMaps: true, rejectDuplicateMapKeys: true, allowIndefinite: false };
  return new CborFields(decode(bytes, options) as CborMap);
}

function checkApp(data: Uint8Array, teams: readonly string[], app: string): void {
  expectEvidence(data.length >= 37, 'malformed');
  const ours = teams.some((team) => equalBytes(sha256(encodeText(`${team}.${app}`)), data.subarray(0, 32)));
  expectEvidence(ours, 'app-other');
}

function nonceOf(value: Uint8Array | undefined): Uint8Array {
  const begins = value && equalBytes(value.subarray(0, NONCE_PREFIX.length), Uint8Array.from(NONCE_PREFIX));
  expectEvidence(begins === true, 'malformed');
  return value!.subarray(NONCE_PREFIX.length);
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return createHash('sha256')
    .update(concat(...parts))
    .digest();
}
