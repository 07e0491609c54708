import { createPublicKey, createSecretKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Attestation } from '@sallyport/access';
import Type, { type Static } from 'typebox';
import { Errors } from 'typebox/value';
import { androidKeyConnector } from './android-key.ts';
import { appAttestConnector } from './app-attest.ts';
import type { TrustedRoots } from './certificate-chain.ts';
import { type EvidenceConnector, outcomeOf } from './connector.ts';
import { type PlayKeys, playIntegrityConnector } from './play-integrity.ts';
import { parseRevokedSerials, type RevokedSerials } from './revoked-serials.ts';
import { softwareConnector } from './software.ts';

const CLOSED = { additionalProperties: false } as const;
const File = Type.String({ minLength: 1, maxLength: 4_096 });

/** What a realm trusts as evidence; paths are relative to the file that says so. */
const AttestationFile = Type.Object(
  {
    androidKey: Type.Optional(
      Type.Object(
        {
          roots: File,
          revoked: Type.Optional(File),
          minOsPatch: Type.Optional(Type.String({ pattern: '^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$' })),
        },
        CLOSED,
      ),
    ),
    playIntegrity: Type.Optional(
      Type.Record(
        Type.String({ minLength: 1, maxLength: 128 }),
        Type.Object({ decryptionKey: File, verificationKey: File }, CLOSED),
      ),
    ),
    appAttest: Type.Optional(
      Type.Object(
        {
          roots: File,
          teams: Type.Array(Type.String({ pattern: '^[A-Z0-9]{10}$' }), { minItems: 1, maxItems: 64 }),
          development: Type.Optional(Type.Boolean()),
        },
        CLOSED,
      ),
    ),
  },
  CLOSED,
);
type AttestationFile = Static<typeof AttestationFile>;

/** Says that a list of revoked keys could not be read again; the one before stays. */
export type WarnOfList = (error: unknown) => void;

/** Attestation by the software connector alone: what a node has whose operator set up no platform. */
export function softwareAttestation(): Attestation {
  return attestationOf(new Map([['software', softwareConnector]]));
}

/**
 * Attestation by the connectors that a file sets up, and `software`.
 * @throws TypeError with the name of the file for what cannot be read: a node must not start with less trust than was meant
 */
export function readAttestationFile(path: string, warn: WarnOfList): Attestation {
  const said = named(path, () => checked(JSON.parse(readFileSync(path, 'utf8'))));
  const at = (file: string): string => resolve(dirname(path), file);
  const connectors = new Map<string, EvidenceConnector>([['software', softwareConnector]]);
  const { androidKey, playIntegrity, appAttest } = said;
  if (androidKey) {
    const { roots, revoked, minOsPatch } = androidKey;
    const list = revoked === undefined ? undefined : new RevokedList(at(revoked), warn);
    const trust = { roots: readRoots(at(roots)), revoked: () => list?.read() ?? NONE };
    connectors.set(
      'android-key',
      androidKeyConnector({ ...trust, ...(minOsPatch === undefined ? {} : { minOsPatch }) }),
    );
  }
  if (playIntegrity) {
    const keys = Object.entries(playIntegrity).map(([app, files]) => [app, readPlayKeys(files, at)] as const);
    connectors.set('play-integrity', playIntegrityConnector(new Map(keys)));
  }
  if (appAttest) {
    const { roots, teams, development = false } = appAttest;
    connectors.set('app-attest', appAttestConnector({ roots: readRoots(at(roots)), teams, development }));
  }
  return attestationOf(connectors);
}

/** Attestation by connectors, by their names. */
export function attestationOf(connectors: ReadonlyMap<string, EvidenceConnector>): Attestation {
  return {
    async verify(claim) {
      const connector = connectors.get(claim.connector);
      return connector ? outcomeOf(connector, claim) : { fault: 'connector-unknown' };
    },
  };
}

const NONE: RevokedSerials = new Set();

/** A list of revoked keys that the operator brings up to date: read again when the file has changed. One per connector. */
class RevokedList {
  readonly #path: string;
  readonly #warn: WarnOfList;
  #readAt = Number.NaN;
  #serials: RevokedSerials;

  constructor(path: string, warn: WarnOfList) {
    this.#path = path;
    this.#warn = warn;
    this.#serials = named(path, () => this.#load());
  }

  read(): RevokedSerials {
    try {
      if (statSync(this.#path).mtimeMs !== this.#readAt) this.#serials = this.#load();
    } catch (error) {
      // What was revoked stays revoked.
      this.#warn(error);
    }
    return this.#serials;
  }

  #load(): RevokedSerials {
    const { mtimeMs } = statSync(this.#path);
    const serials = parseRevokedSerials(readFileSync(this.#path, 'utf8'));
    this.#readAt = mtimeMs;
    return serials;
  }
}

function checked(said: unknown): AttestationFile {
  const [fault] = Errors(AttestationFile, said);
  if (fault) throw new TypeError(`${fault.instancePath || '/'}: ${fault.message}`);
  return said as AttestationFile;
}

function readRoots(path: string): TrustedRoots {
  return named(path, () => {
    const pems = readFileSync(path, 'utf8').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    if (pems.length === 0) throw new TypeError('there is no certificate in it');
    return pems.map((pem) => new X509Certificate(pem));
  });
}

/** Keys as the Play Console gives them: base64 of the AES key, and of the public key (SubjectPublicKeyInfo). */
function readPlayKeys(
  { decryptionKey, verificationKey }: { readonly decryptionKey: string; readonly verificationKey: string },
  at: (file: string) => string,
): PlayKeys {
  return {
    decryption: named(at(decryptionKey), () => aesKey(Buffer.from(readFileSync(at(decryptionKey), 'utf8'), 'base64'))),
    verification: named(at(verificationKey), () =>
      createPublicKey({
        key: Buffer.from(readFileSync(at(verificationKey), 'utf8'), 'base64'),
        type: 'spki',
        format: 'der',
      }),
    ),
  };
}

function aesKey(bytes: Buffer): KeyObject {
  if (bytes.length !== 32) throw new TypeError(`a key of 32 bytes is expected, it has ${bytes.length}`);
  return createSecretKey(bytes);
}

/** Names the file in whatever goes wrong with it. What it holds may be secret, and is not said. */
function named<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const why = cause instanceof SyntaxError ? 'it is no JSON' : (cause as Error).message;
    throw new TypeError(`${path}: ${why}`, { cause });
  }
}
