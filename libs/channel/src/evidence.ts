import { concat, encodeText, prefix8 } from './bytes.ts';
import { CborFields, encodeCbor } from './cbor.ts';
import { type AppContext, contextToCbor } from './context.ts';
import type { CryptoProvider } from './crypto.ts';
import { demand } from './errors.ts';

/** Bounds of what a device sends as evidence. */
const EVIDENCE_LIMITS = { challengeBytes: 64, connector: 32, statementBytes: 49_152, proof: 2_048 } as const;

/** Evidence of a device: what its platform says of app and system (SPEC.md, section 6). */
export interface Evidence {
  /** As it came in the NOTICE, at most 64 bytes. */
  readonly challenge: Uint8Array;
  /** Name of the way in which the statement is verified. */
  readonly connector: string;
  /** What the platform gave, in the form of the connector; at most 48 KiB. */
  readonly statement: Uint8Array;
  /** Compact JWS by the installation's signing key over `evidenceBinding`. */
  readonly proof: string;
}

/** Whose evidence it is, and for which challenge. */
export interface EvidenceSubject {
  /** Name of the realm. */
  readonly realm: string;
  /** As it came in the NOTICE. */
  readonly challenge: Uint8Array;
  /** Id of the installation. */
  readonly iid: string;
  /** Its signing key, public, P-256. */
  readonly signingKey: {
    /** Coordinate, base64url (RFC 7518, section 6.2). */
    readonly x?: string;
    /** The other one. */
    readonly y?: string;
  };
}

/**
 * What the platform is to attest, 32 bytes (SPEC.md, section 6): `SHA256("sallyport/1 evidence" || LP8(realm) || LP8(challenge) || LP8(iid) || thumbprint)`, with
 * the thumbprint of the signing key (RFC 7638). So evidence is of one moment, one realm, one installation and one key.
 */
export function evidenceHash(
  crypto: Pick<CryptoProvider, 'sha256'>,
  { realm, challenge, iid, signingKey }: EvidenceSubject,
): Uint8Array {
  const key = JSON.stringify({ crv: 'P-256', kty: 'EC', x: signingKey.x, y: signingKey.y });
  return crypto.sha256(
    concat(
      encodeText('sallyport/1 evidence'),
      prefix8(encodeText(realm)),
      prefix8(challenge),
      prefix8(encodeText(iid)),
      crypto.sha256(encodeText(key)),
    ),
  );
}

/** What the installation's signing key signs, so that nobody else sends a statement in its name: `SHA256("sallyport/1 evidence proof" || hash || LP8(connector) || SHA256(statement))`. */
export function evidenceBinding(
  crypto: Pick<CryptoProvider, 'sha256'>,
  { hash, connector, statement }: { readonly hash: Uint8Array } & Pick<Evidence, 'connector' | 'statement'>,
): Uint8Array {
  const label = encodeText('sallyport/1 evidence proof');
  return crypto.sha256(concat(label, hash, prefix8(encodeText(connector)), crypto.sha256(statement)));
}

/** A CONTEXT with evidence: the app context of this moment, whole, and what proves it. */
export function encodeEvidence(context: AppContext, evidence: Evidence): Uint8Array {
  const { challenge, connector, statement, proof } = evidence;
  return encodeCbor({ ...(contextToCbor(context) as object), evidence: { challenge, connector, statement, proof } });
}

/** Evidence in a CONTEXT; undefined when it holds none. @throws ChannelError ERR_CHANNEL_CBOR naming the field */
export function findEvidence(cbor: Uint8Array): Evidence | undefined {
  const evidence = CborFields.decode(cbor).optionalMap('evidence');
  if (!evidence) return undefined;
  const challenge = evidence.bytes('challenge');
  const statement = evidence.bytes('statement');
  const { challengeBytes, statementBytes } = EVIDENCE_LIMITS;
  demand(challenge.length <= challengeBytes, 'ERR_CHANNEL_CBOR', `field challenge: more than ${challengeBytes} bytes`);
  demand(statement.length <= statementBytes, 'ERR_CHANNEL_CBOR', `field statement: more than ${statementBytes} bytes`);
  return {
    challenge,
    connector: evidence.line('connector', EVIDENCE_LIMITS.connector),
    statement,
    proof: evidence.text('proof', EVIDENCE_LIMITS.proof),
  };
}
