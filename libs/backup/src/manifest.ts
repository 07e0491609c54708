import { BackupError } from './errors.ts';
import { timeOfName } from './name.ts';

/** The format of exports that this version writes and reads. */
export const EXPORT_FORMAT = 1;

/** One part of an export: the rows of one table, as they are inside. */
export interface ManifestPart {
  readonly name: string;
  readonly rows: number;
  /** Size and SHA-256 (hex) of its text. */
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * What an export says of itself in the clear, `manifest.json`: nothing in it is personal. The order of the fields is that of the
 * file, which is the JSON of this and nothing else, so that one manifest has one text.
 */
export interface Manifest {
  readonly format: typeof EXPORT_FORMAT;
  readonly realm: string;
  /** Name of the export, that of its folder. */
  readonly name: string;
  /** Version of the product that made it. */
  readonly product: string;
  /** The newest migration of its schema. */
  readonly migration: string;
  /** When its snapshot was taken, ISO 8601 in UTC. */
  readonly takenAt: string;
  readonly epoch: string;
  /** Head of the revocation log: index, and hash of the entry there (empty for an empty log). */
  readonly log: { readonly head: number; readonly hash: string };
  /** Head of the audit log: number and hash (hex) of its newest event. */
  readonly audit: { readonly seq: number; readonly hash: string };
  /** To whom it is encrypted. */
  readonly recipients: readonly string[];
  readonly parts: readonly ManifestPart[];
  /** Size and SHA-256 (hex) of `data.age`. */
  readonly data: { readonly bytes: number; readonly sha256: string };
  /**
   * By a key derived from this key-encryption key: who has none cannot pass off another export. `check` tells keys of one number
   * apart. Hex.
   */
  readonly mac: { readonly kek: number; readonly check: string; readonly tag: string };
}

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string' && value !== '' && value.length <= 200;
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const matches =
  (pattern: RegExp): Check =>
  (value) =>
    typeof value === 'string' && pattern.test(value);
const isHash = matches(/^[0-9a-f]{64}$/);
const isTime: Check = (value) => matches(/^\d{4}-.*Z$/)(value) && isIso(value as string);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.length > 0 && value.length <= 1_000 && value.every(check);
const fields =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.keys(value).join() === Object.keys(checks).join() &&
    Object.entries(checks).every(([name, check]) => check((value as Record<string, unknown>)[name]));

function isIso(text: string): boolean {
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString() === text;
}

const FIELDS: Readonly<Record<keyof Manifest, Check>> = {
  format: (value) => value === EXPORT_FORMAT,
  realm: isText,
  name: (value) => typeof value === 'string' && timeOfName(value) !== undefined,
  product: isText,
  migration: matches(/^\d{4}_[a-z0-9_]+$/),
  takenAt: isTime,
  epoch: matches(/^[0-9a-f]{32}$/),
  log: fields({ head: isCount, hash: matches(/^(?:[0-9a-f]{64})?$/) }),
  audit: fields({ seq: isCount, hash: matches(/^(?:[0-9a-f]{64})?$/) }),
  recipients: listOf(isText),
  parts: listOf(fields({ name: matches(/^[a-z_]+$/), rows: isCount, bytes: isCount, sha256: isHash })),
  data: fields({ bytes: isCount, sha256: isHash }),
  mac: fields({ kek: isCount, check: matches(/^[0-9a-f]{32}$/), tag: matches(/^[0-9a-f]{32}$/) }),
};

/** The text of `manifest.json`. */
export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, undefined, 2)}\n`;
}

/** What the MAC of a manifest is over: all of it but the tag. No row and no journal has such bytes. */
export function macBytesOf({ mac, ...rest }: Manifest): Uint8Array {
  return Buffer.from(`sallyport/1 export manifest\n${JSON.stringify({ ...rest, kek: mac.kek, check: mac.check })}`);
}

/**
 * Reads a manifest. Whether it is genuine, only its MAC says.
 * @throws BackupError ERR_BACKUP_FORMAT of another format; ERR_BACKUP_MANIFEST when it is anything but what `formatManifest` gives
 */
export function parseManifest(text: string): Manifest {
  const read = readJson(text);
  const { format } = (read ?? {}) as { format?: unknown };
  if (typeof format === 'number' && format !== EXPORT_FORMAT)
    throw new BackupError(
      'ERR_BACKUP_FORMAT',
      `this export has format ${format}, and this version reads ${EXPORT_FORMAT} only: take the version that made it`,
    );
  if (!fields(FIELDS)(read))
    throw new BackupError('ERR_BACKUP_MANIFEST', `the manifest is malformed: ${faultOf(read)}`);
  const manifest = read as Manifest;
  if (formatManifest(manifest) !== text)
    throw new BackupError('ERR_BACKUP_MANIFEST', 'the manifest is malformed: it is not as Sallyport writes it');
  return manifest;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BackupError('ERR_BACKUP_MANIFEST', 'the manifest is malformed: it is no JSON', { cause });
  }
}

function faultOf(read: unknown): string {
  if (typeof read !== 'object' || read === null) return 'it is no object';
  const wrong = Object.entries(FIELDS).find(([name, check]) => !check((read as Record<string, unknown>)[name]));
  return wrong ? `its ${wrong[0]} is missing or wrong` : 'it has fields of another version';
}
