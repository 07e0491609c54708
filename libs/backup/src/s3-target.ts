import { TargetError } from './errors.ts';
import { S3Http, type S3Place } from './s3-http.ts';
import { completion, type ListedPage, readPage, readUploads, tagOf, type UploadsPage } from './s3-xml.ts';
import { type BackupTarget, checkTargetPath, type TargetObject } from './target.ts';

/** Bytes of a part: what is put at once, and held in memory. */
const PART_BYTES = 8 * 1024 * 1024;
/** What S3 allows. */
const MAX_PARTS = 10_000;

/** An upload says when it was begun, not when somebody wrote to it last: none of ours takes so long, ms. */
const UPLOAD_LIVES_MS = 86_400_000;
/** Of 1,000 uploads each: a list that goes on for ever is looked through no further. */
const MAX_UPLOAD_PAGES = 100;

/** Where in which bucket exports are kept. */
export interface S3Folder extends S3Place {
  /** Without slashes at its ends; may be empty. */
  readonly prefix: string;
}

/**
 * Exports in a bucket of S3 or of what speaks its protocol. An object that is no larger than a part is put at once, a larger one in
 * parts, of which one is in memory at a time; it is there once they were put together.
 * @throws TargetError ERR_TARGET_GONE when there is no such bucket, ERR_TARGET_DENIED when the keys do not open it
 */
export async function openS3Target(folder: S3Folder): Promise<BackupTarget> {
  const target = new S3Target(folder);
  await target.begin().catch(async (error: unknown) => {
    await target.close();
    throw error;
  });
  return target;
}

class S3Target implements BackupTarget {
  readonly description: string;
  readonly #http: S3Http;
  readonly #prefix: string;

  constructor(folder: S3Folder) {
    const { bucket, prefix, endpoint } = folder;
    this.description = `S3 bucket ${[bucket, prefix].filter(Boolean).join('/')} at ${endpoint.host}`;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
    this.#http = new S3Http(folder, this.description);
  }

  /** Looks whether there is such a bucket. */
  async begin(): Promise<void> {
    await this.#aboutBucket(this.#http.text({ method: 'HEAD' }));
  }

  async put(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const key = this.#key(path);
    await this.#refuseTaken(path, key);
    const parts = inParts(content)[Symbol.asyncIterator]();
    const first = await parts.next();
    const second = await parts.next();
    const begin = first.done ? new Uint8Array() : first.value;
    if (second.done) return this.#putWhole(key, begin);
    if (path.includes('/')) await this.#endLeft(path).catch(() => undefined);
    await this.#putParts(key, chained([begin, second.value], parts));
  }

  async *get(path: string, from = 0): AsyncIterable<Uint8Array> {
    const key = this.#key(path);
    const headers = from === 0 ? {} : { range: `bytes=${from}-` };
    const { statusCode, body } = await this.#http.send({ method: 'GET', key, headers });
    try {
      if (from > 0 && statusCode !== 206)
        throw new TargetError('ERR_TARGET_DAMAGED', `${this.description}: ${key}: no part of it is given`);
      yield* body as AsyncIterable<Uint8Array>;
    } catch (cause) {
      throw this.#http.faultOfConnection(key, cause);
    } finally {
      body.destroy();
    }
  }

  async list(folder: string): Promise<readonly TargetObject[]> {
    const prefix = folder === '' ? this.#prefix : `${this.#key(folder)}/`;
    const found: TargetObject[] = [];
    for (let token: string | undefined, more = true; more; more = token !== undefined) {
      const page = await this.#page(prefix, token === undefined ? {} : { 'continuation-token': token });
      found.push(...page.objects);
      token = page.next;
    }
    const own = found.map(({ path, bytes }) => ({ path: path.slice(this.#prefix.length), bytes }));
    return own.filter(({ path }) => isVisible(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async remove(path: string): Promise<void> {
    try {
      await this.#http.text({ method: 'DELETE', key: this.#key(path) });
    } catch (error) {
      if ((error as TargetError).code !== 'ERR_TARGET_MISSING') throw error;
    }
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  #key(path: string): string {
    return `${this.#prefix}${checkTargetPath(path)}`;
  }

  /** Where nothing but the bucket was asked for, "not found" is about the bucket. */
  async #aboutBucket(answer: Promise<string>): Promise<string> {
    return answer.catch((error: TargetError) => {
      if (error.code !== 'ERR_TARGET_MISSING') throw error;
      throw new TargetError('ERR_TARGET_GONE', `${this.description} is not there`, { cause: error });
    });
  }

  async #page(prefix: string, more: Readonly<Record<string, string>>): Promise<ListedPage> {
    const query = { 'list-type': '2', 'encoding-type': 'url', ...(prefix ? { prefix } : {}), ...more };
    const page = readPage(await this.#aboutBucket(this.#http.text({ method: 'GET', query })));
    if (page) return page;
    throw new TargetError('ERR_TARGET_DAMAGED', `${this.description} gives no list that can be read`);
  }

  /** Before anything is sent; for servers that know no condition it is the only look. */
  async #refuseTaken(path: string, key: string): Promise<void> {
    const found = await this.#http.text({ method: 'HEAD', key }).catch((error: TargetError) => {
      if (error.code !== 'ERR_TARGET_MISSING') throw error;
    });
    if (found !== undefined) throw new TargetError('ERR_TARGET_EXISTS', `${this.description} has ${path} already`);
  }

  async #putWhole(key: string, body: Uint8Array): Promise<void> {
    await this.#http.text({ method: 'PUT', key, body, headers: { 'if-none-match': '*' } });
  }

  /**
   * Ends uploads in parts that a process which ended has left: a bucket keeps their parts, and bills them, until somebody does. Only of
   * objects like this one, in the same folder of ours and of the same name: others may use the bucket, too. Keys that may not look stop nothing.
   */
  async #endLeft(path: string): Promise<void> {
    const prefix = `${this.#prefix}${path.slice(0, path.indexOf('/') + 1)}`;
    const name = path.slice(path.lastIndexOf('/'));
    let next: UploadsPage['next'] = {};
    for (let pages = 0; next && pages < MAX_UPLOAD_PAGES; pages += 1) {
      const query = { uploads: '', 'encoding-type': 'url', prefix, ...next };
      const { headers, body } = await this.#http.send({ method: 'GET', query });
      const [now, page] = [Date.parse(String(headers.date)), readUploads(await body.text())];
      for (const { key, uploadId, begunAt } of page.uploads)
        if (key.startsWith(prefix) && key.endsWith(name) && now - begunAt > UPLOAD_LIVES_MS)
          await this.#http.text({ method: 'DELETE', key, query: { uploadId } });
      next = page.next;
    }
  }

  async #putParts(key: string, parts: AsyncIterable<Uint8Array>): Promise<void> {
    const begun = await this.#http.text({ method: 'POST', key, query: { uploads: '' } });
    const uploadId = tagOf(begun, 'UploadId');
    if (!uploadId) throw new TargetError('ERR_TARGET_DAMAGED', `${this.description} begins no upload in parts`);
    try {
      const tags = await this.#sendParts(key, uploadId, parts);
      const body = Buffer.from(completion(tags));
      const headers = { 'content-type': 'application/xml', 'if-none-match': '*' };
      const done = await this.#http.text({ method: 'POST', key, query: { uploadId }, headers, body });
      // It is said late, when the status has been sent, that parts could not be put together.
      if (!done.includes('CompleteMultipartUploadResult'))
        throw new TargetError('ERR_TARGET_GONE', `${this.description}: ${key}: ${tagOf(done, 'Code') ?? 'no answer'}`);
    } catch (error) {
      await this.#http.text({ method: 'DELETE', key, query: { uploadId } }).catch(() => undefined);
      throw error;
    }
  }

  async #sendParts(key: string, uploadId: string, parts: AsyncIterable<Uint8Array>): Promise<string[]> {
    const tags: string[] = [];
    for await (const body of parts) {
      if (tags.length === MAX_PARTS)
        throw new TargetError('ERR_TARGET_FULL', `${this.description}: ${key} is too large`);
      const query = { partNumber: String(tags.length + 1), uploadId };
      const { headers, body: rest } = await this.#http.send({ method: 'PUT', key, query, body });
      await rest.dump();
      tags.push(String(headers['etag'] ?? ''));
    }
    return tags;
  }
}

/** Objects of others in the same bucket are none of ours. */
function isVisible(path: string): boolean {
  try {
    return checkTargetPath(path) === path;
  } catch {
    return false;
  }
}

/** Content in pieces of one part each; the last one may be smaller. */
async function* inParts(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let [waiting, bytes]: [Uint8Array[], number] = [[], 0];
  for await (const piece of content) {
    waiting.push(piece);
    bytes += piece.length;
    while (bytes >= PART_BYTES) {
      const whole = Buffer.concat(waiting, bytes);
      yield whole.subarray(0, PART_BYTES);
      [waiting, bytes] = [[whole.subarray(PART_BYTES)], bytes - PART_BYTES];
    }
  }
  if (bytes > 0) yield Buffer.concat(waiting, bytes);
}

async function* chained(begin: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    yield* begin;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
