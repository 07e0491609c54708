import type { KeyObject } from 'node:crypto';
import type { EvidenceClaim } from '@sallyport/access';
import { CborFields, formatBase64Url, formatHex } from '@sallyport/channel';
import type { EvidenceLevel, ProvenFacts } from '@sallyport/security-api';
import { compactDecrypt, compactVerify } from 'jose';
import Type, { type Static } from 'typebox';
import { Check } from 'typebox/value';
import { type EvidenceConnector, expectEvidence } from './connector.ts';

/** Keys of one app, as the Play Console shows them to who manages its responses. */
export interface PlayKeys {
  /** AES-256 key that verdicts are encrypted with. */
  readonly decryption: KeyObject;
  /** Public key, P-256, that they are signed for. */
  readonly verification: KeyObject;
}

const Texts = Type.Optional(Type.Array(Type.String({ maxLength: 256 }), { maxItems: 32 }));

/** What of a verdict is read (Play Integrity API, "Integrity verdicts"). */
const IntegrityVerdict = Type.Object({
  requestDetails: Type.Object({
    requestPackageName: Type.String(),
    requestHash: Type.Optional(Type.String()),
    timestampMillis: Type.String({ pattern: '^[0-9]{1,15}$' }),
  }),
  appIntegrity: Type.Object({
    appRecognitionVerdict: Type.String(),
    packageName: Type.Optional(Type.String()),
    certificateSha256Digest: Texts,
    versionCode: Type.Optional(Type.String({ maxLength: 32 })),
  }),
  deviceIntegrity: Type.Object({
    deviceRecognitionVerdict: Texts,
  }),
});
type IntegrityVerdict = Static<typeof IntegrityVerdict>;

/** A verdict is asked for with the challenge, which lives for two minutes; clocks of Google and ours may differ by some, ms. */
const MAX_VERDICT_AGE_MS = 300_000;

/**
 * Play Integrity, standard requests: Google's servers say what they think of app and device. The statement is a CBOR map with `token`, made
 * with our hash, base64url, as `requestHash`; it is opened and verified here, with the app's keys.
 */
export function playIntegrityConnector(packages: ReadonlyMap<string, PlayKeys>): EvidenceConnector {
  return async (claim) => {
    const token = CborFields.decode(claim.statement).text('token', 32_768);
    const keys = packages.get(claim.app);
    expectEvidence(keys !== undefined, 'app-other');
    const verdict = await openVerdict(token, keys);
    checkRequest(verdict, claim);
    return { level: levelOf(verdict), facts: factsOf(verdict, claim.app) };
  };
}

/** JWE around JWS (RFC 7516, RFC 7515), with the two algorithms that Google uses. @throws EvidenceRefused chain-broken */
async function openVerdict(token: string, { decryption, verification }: PlayKeys): Promise<IntegrityVerdict> {
  const payload = await verifiedPayload(token, { decryption, verification }).catch(() => undefined);
  expectEvidence(payload !== undefined, 'chain-broken');
  const verdict: unknown = JSON.parse(new TextDecoder().decode(payload));
  expectEvidence(Check(IntegrityVerdict, verdict), 'malformed');
  return verdict;
}

async function verifiedPayload(token: string, { decryption, verification }: PlayKeys): Promise<Uint8Array> {
  const { plaintext } = await compactDecrypt(token, decryption, {
    keyManagementAlgorithms: ['A256KW'],
    contentEncryptionAlgorithms: ['A256GCM'],
  });
  return (await compactVerify(plaintext, verification, { algorithms: ['ES256'] })).payload;
}

/** The verdict answers our request, for our app. */
function checkRequest({ requestDetails, appIntegrity }: IntegrityVerdict, { bound, app, now }: EvidenceClaim): void {
  expectEvidence(requestDetails.requestPackageName === app, 'app-other');
  expectEvidence(requestDetails.requestHash === formatBase64Url(bound), 'challenge-other');
  const ageMs = now - Number(requestDetails.timestampMillis);
  expectEvidence(Math.abs(ageMs) <= MAX_VERDICT_AGE_MS, 'challenge-expired');
  expectEvidence(appIntegrity.appRecognitionVerdict === 'PLAY_RECOGNIZED', 'app-unrecognised');
  expectEvidence(appIntegrity.packageName === app, 'app-other');
}

/** `MEETS_STRONG_INTEGRITY` is said by hardware of the device; `MEETS_DEVICE_INTEGRITY` by Google alone. */
function levelOf({ deviceIntegrity }: IntegrityVerdict): EvidenceLevel {
  const said = deviceIntegrity.deviceRecognitionVerdict ?? [];
  if (said.includes('MEETS_STRONG_INTEGRITY')) return 'hardware';
  expectEvidence(said.includes('MEETS_DEVICE_INTEGRITY'), 'device-unrecognised');
  return 'platform';
}

function factsOf({ appIntegrity }: IntegrityVerdict, app: string): ProvenFacts {
  const { certificateSha256Digest = [], versionCode } = appIntegrity;
  return {
    id: app,
    signers: certificateSha256Digest.map((digest) => formatHex(new Uint8Array(Buffer.from(digest, 'base64url')))),
    ...(versionCode === undefined ? {} : { build: versionCode }),
    os: 'android',
    posture: { rooted: false, emulator: false },
  };
}
