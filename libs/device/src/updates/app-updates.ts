import {
  type AppContext,
  type CryptoProvider,
  decodeText,
  formatHex,
  parseRelease,
  type ReleaseDocument,
  releasePath,
  type TargetsContent,
  UPDATE_AUTHORITY,
} from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import type { StoredUpdates } from '../kept/record.ts';
import { refreshUpdates } from './trusted-updates.ts';

/** A release that may be installed in place of the running one. All of it but `requiredFrom` is signed. */
export interface AppUpdate extends ReleaseDocument {
  /** From when on the running version is not served any more, epoch ms of the gateway; undefined where nobody said. */
  readonly requiredFrom?: number;
}

/** How a package is downloaded. */
export interface DownloadOptions {
  /** So many bytes are there from before: whole pieces, as they were handed over. */
  readonly from?: number;
  /** Ends the download. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes there are, also those from before. */
  readonly progress?: (bytes: number) => void;
}

/** What updates are asked with. */
export interface AppUpdateParts {
  readonly crypto: Pick<CryptoProvider, 'sha256'>;
  /** What was verified before; undefined where the realm had no updates when the device enrolled and signed in. */
  readonly stored: () => StoredUpdates | undefined;
  /** Keeps it durably. */
  readonly store: (updates: StoredUpdates) => Promise<void>;
  readonly context: () => AppContext;
  readonly fetch: typeof fetch;
  /** The clock of the device, epoch ms. */
  readonly nowMs: () => number;
  /** Documents of releases by their hashes, as they were read before. */
  readonly documents?: Map<string, ReleaseDocument>;
  /** Hears until when the running version is served, where it is not served for ever, epoch ms of the gateway. */
  readonly required?: (until: number) => void;
}

/** A download moves at least so many bytes in a minute; what is slower is no download. */
const LEAST_BYTES = 16_384;
const WINDOW_MS = 60_000;
const MAX_OFFER_BYTES = 65_536;
/** A version of a system that can be compared; any other is not said. */
const OS_VERSION = /^\d{1,9}(\.\d{1,9}){0,7}$/;
const BASE = `http://${UPDATE_AUTHORITY}/v1`;

/** What Security says there is. It is not signed: it chooses among what is. */
interface Offer {
  readonly release: string | null;
  readonly requiredFrom: number | null;
}

/** Looks for the update that is rolled out to this device; undefined when there is none. @throws DeviceError UPDATE_… */
export async function checkForUpdate(parts: AppUpdateParts): Promise<AppUpdate | undefined> {
  const { id, version, os, osVersion } = parts.context();
  const known = OS_VERSION.test(osVersion) ? { osVersion } : {};
  const query = new URLSearchParams({ app: id, version, os, ...known });
  const offer = JSON.parse(decodeText(await readWhole(parts, `${BASE}/offer?${query}`, MAX_OFFER_BYTES))) as Offer;
  // Whoever waits for an update that there is not yet should know how long.
  if (typeof offer.requiredFrom === 'number') parts.required?.(offer.requiredFrom);
  if (typeof offer.release !== 'string') return undefined;
  const release = await readRelease(parts, await signedTargets(parts), offer.release);
  if (release.app !== id) throw refused('UPDATE_OTHER_APP', `it is one of ${release.app}`);
  if (release.os !== os) throw refused('UPDATE_OTHER_APP', `it is for ${release.os}`);
  if (release.minOsVersion !== '' && known.osVersion && isAbove(release.minOsVersion, known.osVersion))
    throw refused('UPDATE_OTHER_APP', `it is for ${os} ${release.minOsVersion} and later`);
  if (!isAbove(release.version, version))
    throw refused('UPDATE_DOWNGRADE', `${release.version} is not above ${version}`);
  return { ...release, ...(typeof offer.requiredFrom === 'number' ? { requiredFrom: offer.requiredFrom } : {}) };
}

/** An app that the user of a device may have. */
export interface CatalogueApp {
  /** Id of the app. */
  readonly app: string;
  /** What people call it. Nobody signs that. */
  readonly title: string;
  /** Its newest release for each system, each as it is signed. */
  readonly releases: readonly ReleaseDocument[];
  /** Channels, like `beta`, by which this device gets those of them that are not for everybody, by ids of releases. Nobody signs that. */
  readonly channels: Readonly<Record<string, string>>;
}

/** Apps as Security tells of them. */
interface ToldApps {
  readonly apps: readonly {
    readonly app: string;
    readonly title: string;
    readonly releases: readonly string[];
    readonly channels?: Readonly<Record<string, string>>;
  }[];
}

const MAX_CATALOGUE_BYTES = 262_144;
/** Documents of releases are read a few at a time. */
const AT_ONCE = 8;

/** The apps that the user may have, by their titles. @throws DeviceError UPDATE_… */
export async function readCatalogue(parts: AppUpdateParts): Promise<readonly CatalogueApp[]> {
  const text = decodeText(await readWhole(parts, `${BASE}/apps`, MAX_CATALOGUE_BYTES));
  const { apps } = JSON.parse(text) as ToldApps;
  if (apps.length === 0) return [];
  const targets = await signedTargets(parts);
  const wanted = apps.flatMap(({ app, releases }) => releases.map((id) => ({ app, id })));
  const read: ReleaseDocument[] = [];
  for (let at = 0; at < wanted.length; at += AT_ONCE)
    read.push(...(await Promise.all(wanted.slice(at, at + AT_ONCE).map(({ id }) => readRelease(parts, targets, id)))));
  const foreign = read.find((release, i) => release.app !== wanted[i]!.app);
  if (foreign) throw refused('UPDATE_OTHER_APP', `it is one of ${foreign.app}`);
  return apps.map(({ app, title, channels = {} }) => ({
    app: String(app),
    title: String(title),
    releases: read.filter((release) => release.app === app),
    channels: Object.fromEntries(Object.entries(channels).map(([id, channel]) => [id, String(channel)])),
  }));
}

async function signedTargets(parts: AppUpdateParts): Promise<TargetsContent> {
  const { crypto, store, nowMs } = parts;
  const stored = parts.stored();
  if (!stored) throw refused('UPDATE_SIGNATURE', 'nothing was pinned yet: sign in again');
  const read = (name: string, maxBytes: number): Promise<Uint8Array | undefined> =>
    readFile(parts, `${BASE}/metadata/${name}`, maxBytes);
  return refreshUpdates({ crypto, read, store, nowMs: nowMs() }, stored);
}

/** The document of a release, as its hash is signed. */
async function readRelease(parts: AppUpdateParts, { targets }: TargetsContent, id: string): Promise<ReleaseDocument> {
  const path = releasePath(id);
  const target = Object.hasOwn(targets, path) ? targets[path] : undefined;
  if (!target) throw refused('UPDATE_CHANGED', 'the release that is offered is not signed');
  const known = parts.documents?.get(target.hashes.sha256);
  if (known) return known;
  const bytes = await readWhole(parts, `${BASE}/targets/${path}`, target.length);
  if (bytes.length !== target.length || formatHex(parts.crypto.sha256(bytes)) !== target.hashes.sha256)
    throw refused('UPDATE_CHANGED', 'what is said of the release is not what was signed');
  try {
    const release = parseRelease(bytes);
    parts.documents?.set(target.hashes.sha256, release);
    return release;
  } catch (cause) {
    throw refused('UPDATE_MALFORMED', (cause as Error).message, cause);
  }
}

/**
 * The package of an update in pieces of 1 MiB, in order. No byte is handed over before its piece is what was signed: whoever keeps what
 * came so far goes on behind it, with `from`.
 * @throws DeviceError UPDATE_CHANGED, UPDATE_SLOW; CONNECTION_LOST and others, after which it goes on
 */
export async function* downloadUpdate(
  { crypto, fetch, nowMs }: AppUpdateParts,
  { sha256, bytes, chunkBytes, chunks }: ReleaseDocument,
  { from = 0, signal, progress }: DownloadOptions = {},
): AsyncGenerator<Uint8Array> {
  if (from === bytes) return;
  if (from % chunkBytes !== 0 || from > bytes)
    throw new DeviceError('BAD_REQUEST', `from is no multiple of ${chunkBytes}`);
  const patience = new Patience(signal);
  const headers = { range: `bytes=${from}-` };
  const response = await patience.step(fetch(`${BASE}/packages/${sha256}`, { headers, signal: patience.signal }));
  checkRange(response, from);
  const pace = new Pace(nowMs);
  let [done, held, count] = [from, [] as Uint8Array[], 0];
  const take = (): Uint8Array => {
    const piece = joined(held, count);
    if (formatHex(crypto.sha256(piece)) !== chunks[done / chunkBytes])
      throw refused('UPDATE_CHANGED', `its bytes from ${done} on are not what was signed`);
    [done, held, count] = [done + piece.length, [], 0];
    progress?.(done);
    return piece;
  };
  for await (const part of patience.each(response.body)) {
    pace.moved(part.length);
    for (let at = 0; at < part.length; ) {
      const wanted = Math.min(chunkBytes, bytes - done) - count;
      if (wanted === 0) throw refused('UPDATE_CHANGED', 'it has more bytes than were signed');
      const slice = part.subarray(at, at + wanted);
      held.push(slice);
      [at, count] = [at + slice.length, count + slice.length];
      if (count === Math.min(chunkBytes, bytes - done)) yield take();
    }
  }
  if (done < bytes) throw new DeviceError('CONNECTION_LOST', `the download broke off at ${done} of ${bytes} bytes`);
}

function checkRange({ status, headers }: Response, from: number): void {
  const range = headers.get('content-range') ?? '';
  if (status === 206 && range.startsWith(`bytes ${from}-`)) return;
  if (status === 404 || status === 403)
    throw new DeviceError('RESOURCE_UNKNOWN', 'this update is not for this device any more');
  throw new DeviceError('BAD_RESPONSE', `the gateway answered ${status} to a download from ${from}`);
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A link by which the user of this device installs one of their apps elsewhere, or by an installer of the system; good once, for an hour. */
export async function askInstallLink({ fetch }: AppUpdateParts, app: string): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${BASE}/links`, { method: 'PUT', headers, body: JSON.stringify({ app }) });
  if (response.status === 409) throw new DeviceError('BUSY', 'links that were made before were not used yet');
  if (response.status !== 200) throw new DeviceError('RESOURCE_UNKNOWN', 'there is no such app for this user');
  return String(((await response.json()) as { readonly link: unknown }).link);
}

/** Tells the gateway what came of an update, for those who watch its rollout. */
export async function reportUpdate(
  { fetch }: AppUpdateParts,
  { release }: Pick<AppUpdate, 'release'>,
  outcome: 'installed' | 'failed',
): Promise<void> {
  const body = JSON.stringify({ release, outcome });
  const headers = { 'content-type': 'application/json' };
  const { status } = await fetch(`${BASE}/reports`, { method: 'PUT', headers, body });
  if (status !== 200) throw new DeviceError('BAD_RESPONSE', `the gateway answered ${status} to a report`);
}

/** Gives a transfer up of which nothing comes for a minute. One belongs to one transfer. */
class Patience {
  readonly #controller = new AbortController();
  /** Ends the transfer: for want of patience, or because its user wants that. */
  readonly signal: AbortSignal;

  constructor(signal?: AbortSignal) {
    this.signal = signal ? AbortSignal.any([signal, this.#controller.signal]) : this.#controller.signal;
  }

  /** What is waited for. @throws DeviceError UPDATE_SLOW */
  async step<T>(work: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(refused('UPDATE_SLOW', 'nothing came for a minute')), WINDOW_MS);
    });
    try {
      return await Promise.race([work, late]);
    } catch (error) {
      this.#controller.abort();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The parts of a body; whoever takes them may take their time. */
  async *each(body: Response['body']): AsyncGenerator<Uint8Array> {
    const reader = body?.getReader();
    try {
      for (let next = await this.#next(reader); next; next = await this.#next(reader)) yield next;
    } finally {
      // What is left is not wanted.
      void reader?.cancel().catch(() => undefined);
    }
  }

  async #next(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<Uint8Array | undefined> {
    return reader && (await this.step(reader.read())).value;
  }
}

/** Holds a transfer to its least speed, minute by minute. */
class Pace {
  readonly #nowMs: () => number;
  #since: number;
  #bytes = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#since = nowMs();
  }

  /** @throws DeviceError UPDATE_SLOW */
  moved(bytes: number): void {
    this.#bytes += bytes;
    const now = this.#nowMs();
    if (now - this.#since < WINDOW_MS) return;
    if (this.#bytes < LEAST_BYTES) throw refused('UPDATE_SLOW', `${this.#bytes} bytes came in a minute`);
    [this.#since, this.#bytes] = [now, 0];
  }
}

async function readWhole(parts: AppUpdateParts, url: string, maxBytes: number): Promise<Uint8Array> {
  const bytes = await readFile(parts, url, maxBytes);
  if (!bytes) throw new DeviceError('RESOURCE_UNKNOWN', 'there is nothing of this app for this device');
  return bytes;
}

/** A file of at most so many bytes; undefined for one that there is not. */
async function readFile(
  { fetch, nowMs }: AppUpdateParts,
  url: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const patience = new Patience();
  const response = await patience.step(fetch(url, { signal: patience.signal }));
  if (response.status === 404) return undefined;
  if (response.status !== 200)
    throw new DeviceError('BAD_RESPONSE', `the gateway answered ${response.status} to a look for updates`);
  const [pace, parts, from] = [new Pace(nowMs), [] as Uint8Array[], nowMs()];
  let length = 0;
  for await (const part of patience.each(response.body)) {
    pace.moved(part.length);
    parts.push(part);
    length += part.length;
    if (length > maxBytes) throw refused('UPDATE_TOO_LARGE', `${url} has more than ${maxBytes} bytes`);
    // A trickle that is just quick enough would still keep a device from learning of newer metadata.
    if (nowMs() - from > WINDOW_MS) throw refused('UPDATE_SLOW', `${url} took more than a minute`);
  }
  return joined(parts, length);
}

function isAbove(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (let i = 0; i < Math.max(x.length, y.length); i++)
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  return false;
}

type UpdateCode =
  | 'UPDATE_OTHER_APP'
  | 'UPDATE_DOWNGRADE'
  | 'UPDATE_CHANGED'
  | 'UPDATE_SLOW'
  | 'UPDATE_TOO_LARGE'
  | 'UPDATE_SIGNATURE'
  | 'UPDATE_MALFORMED';

function refused(code: UpdateCode, why: string, cause?: unknown): DeviceError {
  return new DeviceError(code, `the update is refused: ${why}`, cause === undefined ? {} : { cause });
}
