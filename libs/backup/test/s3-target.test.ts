import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { openS3Target } from '../src/index.ts';
import { s3At, startS3 } from './s3-server.ts';
import { targetContract } from './target.contract.ts';

const folder = scratchFolder();
const { place, close } = await startS3(folder);
afterAll(async () => {
  await close();
  rmSync(folder, { recursive: true, force: true });
});

let places = 0;
targetContract('S3', async () => {
  places += 1;
  const prefix = `p${places}/deep`;
  return () => openS3Target({ ...place, prefix });
});

async function* content(...all: readonly (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const piece of all) yield Buffer.from(piece);
}

test('an object of several parts comes back whole, and is never overwritten either', async () => {
  const target = await openS3Target({ ...place, prefix: 'parts' });
  const parts = [randomBytes(9_000_000), randomBytes(9_000_000), randomBytes(5)];
  await target.put('main/a/data.age', content(...parts));
  const read: Uint8Array[] = [];
  for await (const bytes of target.get('main/a/data.age')) read.push(bytes);
  expect(Buffer.concat(read).equals(Buffer.concat(parts))).toBe(true);
  await expect(target.put('main/a/data.age', content(...parts))).rejects.toMatchObject({ code: 'ERR_TARGET_EXISTS' });
  await target.close();
});

test('keys that do not open the bucket, and a bucket that is not there, are told apart', async () => {
  await expect(openS3Target({ ...place, secretAccessKey: 'wrong' })).rejects.toMatchObject({
    code: 'ERR_TARGET_DENIED',
  });
  await expect(openS3Target({ ...place, bucket: 'away' })).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
});

/** A server that answers as it likes, for as long as the work takes. */
async function withServer(answer: RequestListener, work: (port: number) => Promise<void>): Promise<void> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

for (const [what, status, code, meaning] of [
  ['a quota that is used up', 403, 'QuotaExceeded', 'ERR_TARGET_FULL'],
  ['a full disk', 507, '', 'ERR_TARGET_FULL'],
  ['a bucket that may only be read', 405, 'MethodNotAllowed', 'ERR_TARGET_READ_ONLY'],
  ['a right that is missing', 403, 'AccessDenied', 'ERR_TARGET_DENIED'],
  ['bytes that did not arrive as they were sent', 400, 'BadDigest', 'ERR_TARGET_DAMAGED'],
  ['somebody else who was quicker', 412, 'PreconditionFailed', 'ERR_TARGET_EXISTS'],
] as const)
  test(`${what} has a name`, async () => {
    await withServer(
      (request, response) => {
        request.resume();
        const refused = request.method === 'PUT';
        const missing = request.method === 'HEAD' && request.url !== '/exports';
        response.writeHead(refused ? status : missing ? 404 : 200);
        response.end(refused && code ? `<Error><Code>${code}</Code></Error>` : '');
      },
      async (port) => {
        const target = await openS3Target(s3At(port));
        await expect(target.put('main/a/x', content('x'))).rejects.toMatchObject({ code: meaning });
        await target.close();
      },
    );
  });

test('a server that takes everything and answers nothing is not waited for', async () => {
  await withServer(
    (request) => void request.resume(),
    async (port) => {
      await expect(openS3Target({ ...s3At(port), silenceMs: 500 })).rejects.toMatchObject({ code: 'ERR_TARGET_SLOW' });
    },
  );
  await expect(openS3Target(s3At(1))).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
});

test('a server that asks for patience gets it, and one that knows no conditions is asked without', async () => {
  const asked: string[] = [];
  await withServer(
    (request, response) => {
      request.resume();
      asked.push(`${request.method} ${request.headers['if-none-match'] ?? ''}`);
      const status =
        request.method === 'HEAD' ? (request.url === '/exports' ? 200 : 404) : asked.length === 3 ? 503 : 501;
      response.writeHead(request.method === 'PUT' && !request.headers['if-none-match'] ? 200 : status);
      response.end();
    },
    async (port) => {
      const target = await openS3Target(s3At(port));
      await target.put('main/a/x', content('x'));
      await target.close();
    },
  );
  expect(asked).toEqual(['HEAD ', 'HEAD ', 'PUT *', 'PUT *', 'PUT ']);
});

test('a list of many pages is read to its end, and objects of others are left out', async () => {
  const page = (keys: readonly string[], next = ''): string =>
    `<ListBucketResult>${next ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${next}</NextContinuationToken>` : ''}` +
    `${keys.map((key) => `<Contents><Key>${key}</Key><Size>3</Size></Contents>`).join('')}</ListBucketResult>`;
  const asked: (string | null)[] = [];
  await withServer(
    (request, response) => {
      const token = new URL(request.url!, 'http://x').searchParams.get('continuation-token');
      if (request.method === 'GET') asked.push(token);
      response.end(token === 'a&b' ? page(['main/b', 'main/%2Fodd', 'main/a%20b']) : page(['main/a'], 'a&amp;b'));
    },
    async (port) => {
      const target = await openS3Target(s3At(port));
      expect(await target.list('main')).toEqual([
        { path: 'main/a', bytes: 3 },
        { path: 'main/b', bytes: 3 },
      ]);
      await target.close();
    },
  );
  expect(asked).toEqual([null, 'a&b']);
});

test('an answer that is no list is not taken for an empty one', async () => {
  await withServer(
    (_request, response) => void response.end('<html>welcome</html>'),
    async (port) => {
      const target = await openS3Target(s3At(port));
      await expect(target.list('main')).rejects.toMatchObject({ code: 'ERR_TARGET_DAMAGED' });
      await target.close();
    },
  );
});

test('an upload in parts that a killed process left goes with the next one a day later; what others upload stays', async () => {
  const [now, day] = [Date.parse('2026-01-03T12:00:00Z'), 86_400_000];
  const upload = (key: string, id: string, at: number): string =>
    `<Upload><Key>${encodeURIComponent(key)}</Key><UploadId>${id}</UploadId><Initiator><ID>we</ID></Initiator><Initiated>${new Date(at).toISOString()}</Initiated></Upload>`;
  const firstPage = [
    upload('deep/main/slow/data.age', 'slow', now - day),
    upload('deep/main/old/film.mp4', 'other file', 0),
    upload('deep/other/old/data.age', 'other folder', 0),
    '<Upload><Key>deep/main/odd/data.age</Key><UploadId>without a time</UploadId></Upload>',
    '<IsTruncated>true</IsTruncated><NextKeyMarker>deep%2Fmain%2Fodd</NextKeyMarker><NextUploadIdMarker>at&amp;</NextUploadIdMarker>',
  ];
  const pages = new Map([
    [' ', firstPage.join('')],
    ['deep/main/odd at&', upload('deep/main/old/data.age', 'left', now - day - 1)],
  ]);
  const asked: string[] = [];
  await withServer(
    (request, response) => {
      const { pathname, searchParams } = new URL(request.url!, 'http://x');
      const id = searchParams.get('uploadId') ?? '';
      request.resume().on('end', () => {
        if (request.method !== 'HEAD') asked.push(`${request.method} ${pathname} ${id}`);
        response.setHeader('date', new Date(now).toUTCString());
        if (request.method === 'HEAD' && pathname !== '/exports') return response.writeHead(404).end();
        if (request.method === 'GET') expect(searchParams.get('prefix')).toBe('deep/main/');
        const page = pages.get(`${searchParams.get('key-marker') ?? ''} ${searchParams.get('upload-id-marker') ?? ''}`);
        if (request.method === 'GET')
          return response.end(`<ListMultipartUploadsResult>${page}</ListMultipartUploadsResult>`);
        if (request.method === 'POST' && id === '') return response.end('<UploadId>new</UploadId>');
        if (request.method === 'POST') return response.end('<CompleteMultipartUploadResult/>');
        return response.end();
      });
    },
    async (port) => {
      const target = await openS3Target({ ...s3At(port), prefix: 'deep' });
      const half = Buffer.alloc(5 * 1024 * 1024);
      await target.put('main/new/data.age', content(half, half));
      await target.close();
    },
  );
  const path = '/exports/deep/main/new/data.age';
  expect(asked).toEqual([
    'GET /exports ',
    'GET /exports ',
    'DELETE /exports/deep/main/old/data.age left',
    ...[`POST ${path} `, `PUT ${path} new`, `PUT ${path} new`, `POST ${path} new`],
  ]);
});

test('a bucket that does not tell of uploads is written to all the same', async () => {
  const target = await openS3Target({ ...place, prefix: 'untold' });
  const half = Buffer.alloc(5 * 1024 * 1024, 7);
  await target.put('main/new/data.age', content(half, half));
  expect(await target.list('main')).toEqual([{ path: 'main/new/data.age', bytes: 2 * half.length }]);
  await target.close();
});
