import { readFileSync, type Stats, statSync } from 'node:fs';
import { isLoopback } from '@sallyport/settings';
import { TargetError } from './errors.ts';
import { markedTarget } from './marker.ts';
import type { BackupTarget } from './target.ts';

/** How long a target may be silent, ms. */
const SILENCE_MS = 60_000;
const SFTP_PORT = 22;
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const REGION = /^[a-z0-9-]{1,64}$/;
/** Folders and prefixes: plain names, so that one place is written in one way. */
const FOLDER = /^(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/;

/**
 * A target as the settings name it. What speaks with it is loaded when it is opened: a server that only reads its settings does
 * without.
 */
export interface TargetPlace {
  readonly kind: 'folder' | 'sftp' | 's3';
  /** Where it is, in words without secrets: the same words for the same place. */
  readonly description: string;
  /** The folder, where it is one of this machine. */
  readonly folder?: string;
  /** Who listens, where it is none. */
  readonly server?: TargetServer;
  /** Opens it as it is: for who marks it, and for who restores from it. @throws TargetError */
  open(): Promise<BackupTarget>;
}

/** A server that keeps backups. */
export interface TargetServer {
  readonly host: string;
  readonly port: number;
  /** True where TLS is spoken; SFTP has a protection of its own. */
  readonly tls: boolean;
  /** File of the CA that is trusted; absent: those of the system. */
  readonly caFile?: string;
}

/** Opens a target of the settings. Every look at it, and every write, makes sure that it is the one that was marked. */
export async function openTarget(place: TargetPlace): Promise<BackupTarget> {
  return markedTarget(await place.open());
}

/**
 * Reads a target:
 *
 *     file:/folder
 *     sftp://user@host:port/folder?key=/file&hostkey=SHA256:…          hostkey once for each that it may show
 *     s3://bucket/prefix?endpoint=https://host:port&region=name&credentials=/file&ca=/file
 *
 * Secrets are in the files, never in the text. `silenceMs`: how long it may be silent.
 * @throws TypeError that says what is wrong, without the text
 */
export function parseTargetPlace(text: string, silenceMs: number = SILENCE_MS): TargetPlace {
  const url = URL.parse(text);
  const read = { 'file:': folderPlace, 'sftp:': sftpPlace, 's3:': s3Place }[url?.protocol ?? ''];
  if (!url || !read) throw new TypeError('a target is file:/folder, sftp://user@host/folder?… or s3://bucket?…');
  if (url.password !== '') throw new TypeError('a secret has no place in a target: name a file with it');
  if (url.hash !== '') throw new TypeError('a target has no #');
  return read(url, new Parameters(url.search), silenceMs);
}

/** The part behind `?`, each name of which must be known. `+` stands for itself. */
class Parameters {
  readonly #values = new Map<string, string[]>();

  constructor(search: string) {
    for (const part of search.slice(1).split('&').filter(Boolean)) {
      const [name = '', value] = part.split(/=(.*)/s);
      this.#values.set(name, [...(this.#values.get(name) ?? []), decodeURIComponent(value ?? '')]);
    }
  }

  /** @throws TypeError for a name that is not one of these */
  only(...names: readonly string[]): void {
    for (const name of this.#values.keys())
      if (!names.includes(name))
        throw new TypeError(`a target of this kind knows ${names.join(', ') || 'nothing'} behind ?`);
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  one(name: string): string | undefined {
    const [value, ...more] = this.all(name);
    if (more.length > 0) throw new TypeError(`${name} is given twice`);
    return value || undefined;
  }

  needed(name: string): string {
    const value = this.one(name);
    if (value === undefined) throw new TypeError(`${name}=… is missing`);
    return value;
  }
}

function folderPlace({ host, pathname, username }: URL, parameters: Parameters, silenceMs: number): TargetPlace {
  parameters.only();
  const folder = decodeURIComponent(pathname).replace(/(?<=.)\/+$/, '');
  if (host !== '' || username !== '' || folder === '/') throw new TypeError('a folder is written file:/folder');
  return placeOfFolder(folder, silenceMs);
}

/** A folder of this machine, by its absolute path, or of a share that is mounted: one that hangs keeps nobody waiting. */
export function placeOfFolder(folder: string, silenceMs: number = SILENCE_MS): TargetPlace {
  const description = `folder ${folder}`;
  return {
    kind: 'folder',
    description,
    folder,
    open: async () => {
      const { openFolderTarget } = await import('./folder-target.ts');
      const { openPatiently } = await import('./patient-target.ts');
      return openPatiently({ description, open: () => openFolderTarget(folder, silenceMs) }, silenceMs);
    },
  };
}

function sftpPlace(
  { hostname, port, username, pathname }: URL,
  parameters: Parameters,
  silenceMs: number,
): TargetPlace {
  parameters.only('key', 'hostkey');
  const folder = pathname.replace(/\/+$/, '');
  const [keyFile, hostKeys] = [parameters.needed('key'), parameters.all('hostkey')];
  if (hostname === '' || username === '') throw new TypeError('SFTP needs a user and a host: sftp://user@host/folder');
  if (!FOLDER.test(folder)) throw new TypeError('SFTP needs the path of a folder, of letters, digits, ._- and /');
  if (hostKeys.length === 0 || !hostKeys.every((key) => FINGERPRINT.test(key)))
    throw new TypeError('SFTP needs the host key: hostkey=SHA256:…, as "ssh-keygen -lf" prints it on that host');
  const place = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || SFTP_PORT,
    folder,
    hostKeys,
    silenceMs,
  };
  const user = decodeURIComponent(username);
  return {
    kind: 'sftp',
    description: `SFTP ${user}@${hostname}:${place.port}${folder}`,
    server: { host: place.host, port: place.port, tls: false },
    open: async () => {
      const privateKey = readSecretFile(keyFile);
      const { openSftpTarget } = await import('./sftp-target.ts');
      return openSftpTarget({ ...place, user, privateKey });
    },
  };
}

function s3Place(
  { hostname: bucket, port, username, pathname }: URL,
  parameters: Parameters,
  silenceMs: number,
): TargetPlace {
  parameters.only('endpoint', 'region', 'credentials', 'ca');
  const prefix = pathname.replace(/\/+$/, '');
  const endpoint = URL.parse(parameters.needed('endpoint'));
  const [region, credentials, ca] = [
    parameters.needed('region'),
    parameters.needed('credentials'),
    parameters.one('ca'),
  ];
  if (!BUCKET.test(bucket) || port !== '' || username !== '')
    throw new TypeError('S3 needs a bucket: s3://bucket/prefix');
  if (prefix !== '' && !FOLDER.test(prefix)) throw new TypeError('a prefix has letters, digits, ._- and / only');
  if (!REGION.test(region)) throw new TypeError('a region has a-z, 0-9 and - only');
  const isPlain = endpoint?.protocol === 'http:' && isLoopback(endpoint.hostname.replace(/^\[|\]$/g, ''));
  if (
    endpoint === null ||
    endpoint.pathname !== '/' ||
    endpoint.username !== '' ||
    (endpoint.protocol !== 'https:' && !isPlain)
  )
    throw new TypeError('an endpoint is https://host:port; without TLS only on this machine');
  const path = prefix.slice(1);
  return {
    kind: 's3',
    description: `S3 bucket ${bucket}${prefix} at ${endpoint.host}`,
    server: {
      host: endpoint.hostname.replace(/^\[|\]$/g, ''),
      port: Number(endpoint.port) || (isPlain ? 80 : 443),
      tls: !isPlain,
      ...(ca === undefined ? {} : { caFile: ca }),
    },
    open: async () => {
      const opening = { ...readCredentials(credentials), ca: ca === undefined ? undefined : readNamed(ca) };
      const { openS3Target } = await import('./s3-target.ts');
      return openS3Target({ endpoint, region, bucket, prefix: path, silenceMs, ...opening });
    },
  };
}

/** @throws TargetError ERR_TARGET_DENIED without a file that nobody else reads */
function readSecretFile(file: string): string {
  const content = readNamed(file);
  if (isClosedFile(statSync(file))) return content;
  throw new TargetError('ERR_TARGET_DENIED', `others may read ${file}: chmod 600`);
}

/** Only its owner reads it; or only root and our own group, as orchestrators mount secrets. */
export function isClosedFile(
  { mode, uid, gid }: Pick<Stats, 'mode' | 'uid' | 'gid'>,
  ownGroup: number | undefined = process.getgid?.(),
): boolean {
  if ((mode & 0o077) === 0) return true;
  return uid === 0 && gid !== 0 && gid === ownGroup && (mode & 0o037) === 0;
}

function readNamed(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TargetError('ERR_TARGET_DENIED', `${file} cannot be read`, { cause });
  }
}

/** A JSON file with `accessKeyId` and `secretAccessKey`. */
function readCredentials(file: string): { accessKeyId: string; secretAccessKey: string } {
  const content = readSecretFile(file);
  try {
    const { accessKeyId, secretAccessKey } = JSON.parse(content) as Record<string, unknown>;
    if (typeof accessKeyId === 'string' && typeof secretAccessKey === 'string') return { accessKeyId, secretAccessKey };
  } catch {
    // What it says instead is no part of any message.
  }
  throw new TargetError('ERR_TARGET_DENIED', `${file} is no JSON with accessKeyId and secretAccessKey`);
}
