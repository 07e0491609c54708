import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AwsV4Signer } from 'aws4fetch';
import { Agent, type Dispatcher, request } from 'undici';
import { TargetError, type TargetErrorCode } from './errors.ts';

/** A bucket, and what opens it. */
export interface S3Place {
  readonly endpoint: URL;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** PEM of the CA of the endpoint; undefined: those of the system. */
  readonly ca: string | undefined;
  /** It may be silent for so long, ms. */
  readonly silenceMs: number;
}

/** One request to the bucket. */
export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Absent: the bucket itself. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** An answer with a status below 300; whoever has it reads its body. */
export type S3Answer = Dispatcher.ResponseData;

const CONNECT_MS = 10_000;
/** A server that asks for patience gets it so often; pauses between are this long and twice as long each time, ms. */
const TRIES = 4;
const PAUSE_MS = 250;
const MAX_ERROR_BYTES = 16_384;
const EMPTY_SHA256 = createHash('sha256').digest('hex');

/** Codes of S3 and of what speaks it, where the status does not say it. */
const CODES: Readonly<Record<string, TargetErrorCode>> = {
  NoSuchKey: 'ERR_TARGET_MISSING',
  NoSuchBucket: 'ERR_TARGET_GONE',
  PreconditionFailed: 'ERR_TARGET_EXISTS',
  ConditionalRequestConflict: 'ERR_TARGET_EXISTS',
  QuotaExceeded: 'ERR_TARGET_FULL',
  XMinioStorageFull: 'ERR_TARGET_FULL',
  XMinioAdminBucketQuotaExceeded: 'ERR_TARGET_FULL',
  EntityTooLarge: 'ERR_TARGET_FULL',
  MethodNotAllowed: 'ERR_TARGET_READ_ONLY',
  AccountProblem: 'ERR_TARGET_READ_ONLY',
  BadDigest: 'ERR_TARGET_DAMAGED',
  XAmzContentSHA256Mismatch: 'ERR_TARGET_DAMAGED',
};
const STATUSES: Readonly<Record<number, TargetErrorCode>> = {
  401: 'ERR_TARGET_DENIED',
  403: 'ERR_TARGET_DENIED',
  404: 'ERR_TARGET_MISSING',
  405: 'ERR_TARGET_READ_ONLY',
  412: 'ERR_TARGET_EXISTS',
  507: 'ERR_TARGET_FULL',
};
/** How undici says that somebody is silent. */
const SILENT: readonly string[] = ['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'];

/** Speaks S3 with one bucket: path style, SigV4 with the hash of each body, retries where the server asks for patience. */
export class S3Http {
  readonly #place: S3Place;
  readonly #agent: Agent;
  readonly #about: string;

  /** `about` names the target in errors. */
  constructor(place: S3Place, about: string) {
    const { ca, silenceMs } = place;
    this.#place = place;
    this.#about = about;
    this.#agent = new Agent({
      connect: { timeout: CONNECT_MS, ...(ca === undefined ? {} : { ca }) },
      headersTimeout: silenceMs,
      bodyTimeout: silenceMs,
    });
  }

  /** Sends one request, more than once where the server asks for that. @throws TargetError for every status from 300 on */
  async send(asked: S3Request): Promise<S3Answer> {
    for (let pause = PAUSE_MS, left = TRIES; ; pause *= 2) {
      left -= 1;
      const answer = await this.#once(asked);
      if (answer.statusCode < 300) return answer;
      const fault = await this.#faultOf(asked, answer);
      // Not every server knows conditions of writes: the look before it has to do.
      const { 'if-none-match': condition, ...headers } = asked.headers ?? {};
      if (answer.statusCode === 501 && condition !== undefined) return this.send({ ...asked, headers });
      const patience = answer.statusCode === 500 || answer.statusCode === 503 || answer.statusCode === 429;
      if (!patience || left === 0) throw fault;
      await sleep(pause);
    }
  }

  /** Sends one request and gives the text of its answer. */
  async text(asked: S3Request): Promise<string> {
    const { body } = await this.send(asked);
    try {
      return await body.text();
    } catch (cause) {
      throw this.faultOfConnection(asked.key ?? '', cause);
    }
  }

  /** What a connection that failed means. */
  faultOfConnection(key: string, cause: unknown): TargetError {
    if (cause instanceof TargetError) return cause;
    const { code = '' } = cause as { code?: string };
    const silent = SILENT.includes(code);
    const words = silent
      ? `nothing was heard for ${this.#place.silenceMs / 1_000} s`
      : `it cannot be reached (${code})`;
    const error: TargetErrorCode = silent ? 'ERR_TARGET_SLOW' : 'ERR_TARGET_GONE';
    return new TargetError(error, `${this.#about}: ${key}: ${words}`, { cause });
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #once({ method, key, query = {}, headers = {}, body }: S3Request): Promise<S3Answer> {
    const { endpoint, bucket, region: _, ...place } = this.#place;
    const url = new URL(`/${bucket}${key === undefined ? '' : `/${key}`}`, endpoint);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const sha256 = body ? createHash('sha256').update(body).digest('hex') : EMPTY_SHA256;
    const signed = await new AwsV4Signer({
      method,
      url: url.href,
      headers: { ...headers, 'x-amz-content-sha256': sha256 },
      service: 's3',
      region: this.#place.region,
      accessKeyId: place.accessKeyId,
      secretAccessKey: place.secretAccessKey,
      allHeaders: true,
    }).sign();
    try {
      return await request(signed.url, {
        method,
        headers: Object.fromEntries(signed.headers),
        dispatcher: this.#agent,
        ...(body ? { body } : {}),
      });
    } catch (cause) {
      throw this.faultOfConnection(key ?? '', cause);
    }
  }

  async #faultOf({ method, key = '' }: S3Request, { statusCode, body }: S3Answer): Promise<TargetError> {
    const text = await readSome(body).catch(() => '');
    const code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(text)?.[1] ?? '';
    const meaning = CODES[code] ?? STATUSES[statusCode] ?? (statusCode === 503 ? 'ERR_TARGET_SLOW' : 'ERR_TARGET_GONE');
    return new TargetError(meaning, `${this.#about}: ${method} ${key}: ${statusCode} ${code}`.trimEnd());
  }
}

/** The beginning of an error that a server tells. */
async function readSome(body: S3Answer['body']): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Uint8Array>) {
    parts.push(part);
    bytes += part.length;
    if (bytes >= MAX_ERROR_BYTES) break;
  }
  return Buffer.concat(parts).toString('utf8');
}
