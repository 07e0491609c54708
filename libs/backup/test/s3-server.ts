import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
// @ts-expect-error: it comes without types, and all that is used of it is below
import FakeS3 from 's3rver';
import type { S3Folder } from '../src/index.ts';

/** What we use of s3rver, which has no types. */
interface S3rver {
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}

const [KEY_ID, SECRET] = ['S3RVER', 'S3RVER'];

/** Hears of each request before it is done, and holds it up for as long as it likes. */
export type HoldRequest = (method: string, path: string) => Promise<void>;

/** Holds up one request of a server for ever: whoever asked it is in the middle of it then. */
export class HeldRequest {
  #at = '';
  #reached = (): void => undefined;

  /** What a server is to hold its requests by. */
  readonly hold: HoldRequest = async (method, path) => {
    if (this.#at === '' || `${method} ${path.split('/').at(-1)}` !== this.#at) return;
    this.#at = '';
    this.#reached();
    await new Promise(() => undefined);
  };

  /** Resolves when the next one comes that is like `PUT data.age`: its method, and the object. */
  next(at: string): Promise<void> {
    return new Promise((resolve) => {
      this.#at = at;
      this.#reached = resolve;
    });
  }
}

/**
 * An S3 server with a bucket in a folder, and how it is reached. s3rver does not look at signatures of version 4: in front of it
 * stands a twin that works them out anew, by the text of the specification.
 */
export async function startS3(
  folder: string,
  hold: HoldRequest = async () => undefined,
): Promise<{ readonly place: S3Folder; close(): Promise<void> }> {
  const server: S3rver = new FakeS3({
    ...{ address: '127.0.0.1', port: 0, silent: true, directory: join(folder, 's3') },
    configureBuckets: [{ name: 'exports', configs: [] }],
  });
  const { port } = await server.run();
  const front = createServer((asked, answer) => void passSigned(asked, answer, { port, hold }));
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    front.closeAllConnections();
    front.close();
    await server.close();
  };
  return { place: s3At((front.address() as AddressInfo).port), close };
}

/** A bucket of whoever listens on a port, with the keys that s3rver knows. */
export function s3At(port: number): S3Folder {
  return {
    endpoint: new URL(`http://127.0.0.1:${port}`),
    region: 'us-east-1',
    bucket: 'exports',
    prefix: '',
    accessKeyId: KEY_ID,
    secretAccessKey: SECRET,
    ca: undefined,
    silenceMs: 60_000,
  };
}

/** Passes on what is signed as it should be, and refuses the rest as S3 does. */
async function passSigned(
  asked: IncomingMessage,
  answer: ServerResponse,
  { port, hold }: { readonly port: number; readonly hold: HoldRequest },
): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of asked as AsyncIterable<Buffer>) pieces.push(piece);
  const body = Buffer.concat(pieces);
  if (asked.headers.authorization !== authorizationOf(asked, body)) {
    answer.writeHead(403).end('<Error><Code>SignatureDoesNotMatch</Code></Error>');
    return;
  }
  const { method = '', url: path = '', headers } = asked;
  await hold(method, path);
  const passed = request({ port, host: '127.0.0.1', method, path, headers }, (got) => {
    answer.writeHead(got.statusCode!, got.headers);
    got.pipe(answer);
  });
  passed.on('error', () => answer.destroy());
  passed.end(body);
}

/** "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference, step by step. */
function authorizationOf({ method, url = '', headers }: IncomingMessage, body: Buffer): string {
  const signed = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '')?.[1] ?? '';
  const [path, query = ''] = url.split('?');
  const time = String(headers['x-amz-date']);
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const canonical = [
    method,
    path,
    query
      .split('&')
      .map((part) => (part === '' || part.includes('=') ? part : `${part}=`))
      .sort()
      .join('&'),
    ...signed.split(';').map((name) => `${name}:${String(headers[name]).trim()}`),
    '',
    signed,
    sha256(body),
  ].join('\n');
  const text = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = scope.split('/').reduce<Buffer>((before, part) => hmac(before, part), Buffer.from(`AWS4${SECRET}`));
  return `AWS4-HMAC-SHA256 Credential=${KEY_ID}/${scope}, SignedHeaders=${signed}, Signature=${hmac(key, text).toString('hex')}`;
}

function sha256(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
