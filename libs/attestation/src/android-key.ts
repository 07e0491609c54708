import type { X509Certificate } from 'node:crypto';
import {
  AttestationApplicationId,
  id_ce_keyDescription,
  NonStandardKeyDescription,
  SecurityLevel,
  VerifiedBootState,
} from '@peculiar/asn1-android';
import { AsnConvert, type OctetString } from '@peculiar/asn1-schema';
import { CborFields, equalBytes, formatHex } from '@sallyport/channel';
import type { ProvenFacts } from '@sallyport/security-api';
import { extensionOf, parseChain, type TrustedRoots, verifyChain } from './certificate-chain.ts';
import { type EvidenceConnector, expectEvidence } from './connector.ts';
import type { RevokedSerials } from './revoked-serials.ts';

/** Extensions by which a device describes a key that it attests: as ASN.1, which is read here, and as CBOR (EAT). */
const DESCRIPTIONS = [id_ce_keyDescription, '1.3.6.1.4.1.11129.2.1.25'];

/** What the operator says of Android devices. */
export interface AndroidKeyTrust {
  /** Roots of attestation: Google's for devices that Google certified. */
  readonly roots: TrustedRoots;
  /** Serial numbers that Google has revoked or suspended; none where the operator gave no list. */
  readonly revoked: () => RevokedSerials;
  /** Oldest security patch of the system that is taken, like `2026-01`; absent: any. */
  readonly minOsPatch?: string;
}

/**
 * Android Key Attestation: the hardware says which app made a key, and in what state the system was. The statement is a CBOR map with
 * `chain`, the certificates of a key that was made with our hash as its challenge, DER, the key's own first.
 */
export function androidKeyConnector({ roots, revoked, minOsPatch }: AndroidKeyTrust): EvidenceConnector {
  return ({ statement, bound, app, now }) => {
    const chain = parseChain(CborFields.decode(statement).list('chain', 16) as readonly Uint8Array[]);
    const trusted = verifyChain(chain, { roots, now, ignoreEnds: !isRemotelyProvisioned(chain), anyAuthority: true });
    const serials = revoked();
    expectEvidence(!chain.some(({ serialNumber }) => serials.has(serialNumber)), 'certificate-revoked');
    const description = descriptionOf(trusted);
    expectEvidence(equalBytes(bytesOf(description.attestationChallenge), bound), 'challenge-other');
    const { attestationSecurityLevel: attested, keymasterSecurityLevel: kept } = description;
    expectEvidence(attested !== SecurityLevel.software && kept !== SecurityLevel.software, 'not-hardware');
    const root = description.teeEnforced.findProperty('rootOfTrust');
    const verified = root?.deviceLocked === true && root.verifiedBootState === VerifiedBootState.verified;
    expectEvidence(verified, 'boot-unverified');
    const facts = factsOf(description, app);
    expectEvidence(!minOsPatch || (facts.osPatch ?? '') >= minOsPatch, 'patch-old');
    return { level: 'hardware', facts };
  };
}

/** Keys that Google's servers sign for a device now and then end soon; those of factories cannot be replaced, whatever their dates. */
function isRemotelyProvisioned(chain: readonly X509Certificate[]): boolean {
  return chain.some(({ subject }) => /(^|\n)O=Google LLC/.test(subject));
}

/**
 * The description of the attested key: in the device's own certificate, and in no other. A key that was attested could else sign a
 * certificate with a description of its owner's making.
 */
function descriptionOf(chain: readonly X509Certificate[]): NonStandardKeyDescription {
  const [own, ...others] = chain;
  const isAttested = (of: X509Certificate): boolean => DESCRIPTIONS.some((id) => extensionOf(of, id) !== undefined);
  expectEvidence(!others.some(isAttested), 'chain-extended');
  const description = extensionOf(own!, id_ce_keyDescription);
  expectEvidence(description !== undefined, 'malformed');
  return AsnConvert.parse(description, NonStandardKeyDescription);
}

/** What hardware and verified system say of app and system. @throws EvidenceRefused app-other */
function factsOf(description: NonStandardKeyDescription, app: string): ProvenFacts {
  const { softwareEnforced, teeEnforced } = description;
  const id = softwareEnforced.findProperty('attestationApplicationId');
  expectEvidence(id !== undefined, 'app-other');
  const { packageInfos, signatureDigests } = AsnConvert.parse(bytesOf(id), AttestationApplicationId);
  const named = packageInfos.find(({ packageName }) => Buffer.from(bytesOf(packageName)).toString('utf8') === app);
  expectEvidence(named !== undefined, 'app-other');
  const version = teeEnforced.findProperty('osVersion') ?? 0;
  const patch = teeEnforced.findProperty('osPatchLevel') ?? 0;
  const brand = softwareEnforced.findProperty('attestationIdModel') ?? teeEnforced.findProperty('attestationIdModel');
  return {
    id: app,
    signers: signatureDigests.map((digest) => formatHex(bytesOf(digest))),
    build: String(named.version),
    os: 'android',
    ...(version > 0 ? { osVersion: formatOsVersion(version) } : {}),
    ...(patch > 0 ? { osPatch: formatOsPatch(patch) } : {}),
    ...(brand ? { model: Buffer.from(bytesOf(brand)).toString('utf8').slice(0, 128) } : {}),
    posture: { rooted: false, emulator: false },
  };
}

/** `MMmmss` as dotted numbers: 150102 is 15.1.2. */
function formatOsVersion(version: number): string {
  return `${Math.floor(version / 10_000)}.${Math.floor(version / 100) % 100}.${version % 100}`;
}

/** `YYYYMM` or `YYYYMMDD` with dashes. */
function formatOsPatch(patch: number): string {
  return String(patch).replace(/^(\d{4})(\d{2})(\d{2})?$/, (_, year, month, day) =>
    [year, month, day].filter((part) => part !== undefined).join('-'),
  );
}

function bytesOf(value: OctetString | ArrayBuffer): Uint8Array {
  return new Uint8Array(value instanceof ArrayBuffer ? value : value.buffer);
}
