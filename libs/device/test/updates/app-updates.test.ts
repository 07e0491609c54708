import { randomBytes } from 'node:crypto';
import { type AppContext, type ReleaseDocument, releasePath, UPDATE_CHUNK_BYTES } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test, vi } from 'vitest';
import { type AppUpdateParts, checkForUpdate, downloadUpdate } from '../../src/updates/app-updates.ts';
import { NOW, Repository, releaseOf } from './repository.ts';

const CONTEXT: AppContext = {
  id: 'test.app',
  version: '1.9.0',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '6',
  osPatch: '',
  model: '',
  posture: {},
  sdk: '',
};
const PACKAGE = randomBytes(2 * UPDATE_CHUNK_BYTES + 1_000);

/** A gateway that serves a repository; a test says what it answers otherwise. */
class Served {
  readonly repository = new Repository();
  offer: { release: string | null; requiredFrom: number | null } = { release: 'r1', requiredFrom: null };
  package: Uint8Array = PACKAGE;
  nowMs = NOW;
  answer: (path: string, range: string) => Response | undefined = () => undefined;

  constructor(release: ReleaseDocument = releaseOf('r1', '1.10.0', PACKAGE)) {
    this.repository.releases = [release];
    this.repository.publish({ timestamp: 2, snapshot: 2, targets: 2 });
  }

  get parts(): AppUpdateParts {
    let stored: ReturnType<AppUpdateParts['stored']> = { pin: this.repository.pin };
    return {
      crypto: nodeCrypto(),
      stored: () => stored,
      store: async (updates) => {
        stored = updates;
      },
      context: () => CONTEXT,
      nowMs: () => this.nowMs,
      fetch: (async (url: string, init: RequestInit = {}) => {
        const path = new URL(url).pathname.slice('/v1/'.length);
        const range = new Headers(init.headers).get('range') ?? '';
        return this.answer(path, range) ?? this.#usual(path, range);
      }) as typeof fetch,
    };
  }

  #usual(path: string, range: string): Response {
    if (path === 'offer') return Response.json(this.offer);
    if (path.startsWith('packages/')) return this.ranged(this.package, range);
    const bytes = this.repository.files.get(path.replace('metadata/', ''));
    return new Response(bytes && Buffer.from(bytes), { status: bytes ? 200 : 404 });
  }

  ranged(content: Uint8Array, range: string): Response {
    const from = Number(/^bytes=(\d+)-$/.exec(range)![1]);
    const headers = { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` };
    return new Response(Buffer.from(content.subarray(from)), { status: 206, headers });
  }
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return Buffer.concat(parts);
}

test('an update is found, and its package comes in verified pieces', async () => {
  const { parts } = new Served();
  const update = (await checkForUpdate(parts))!;
  expect(update).toMatchObject({ release: 'r1', version: '1.10.0', notes: { en: 'better' } });
  const seen: number[] = [];
  const content = await whole(downloadUpdate(parts, update, { progress: (bytes) => seen.push(bytes) }));
  expect(content.equals(PACKAGE)).toBe(true);
  expect(seen).toEqual([UPDATE_CHUNK_BYTES, 2 * UPDATE_CHUNK_BYTES, PACKAGE.length]);
});

test('a download that broke off goes on behind the pieces that were kept', async () => {
  const served = new Served();
  const update = (await checkForUpdate(served.parts))!;
  const kept: Uint8Array[] = [];
  served.answer = (path, range) =>
    path.startsWith('packages/') && range === 'bytes=0-'
      ? served.ranged(PACKAGE.subarray(0, UPDATE_CHUNK_BYTES + 5), range)
      : undefined;
  const broken = async (): Promise<void> => {
    for await (const piece of downloadUpdate(served.parts, update)) kept.push(piece);
  };
  await expect(broken()).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  expect(kept).toHaveLength(1);
  for await (const piece of downloadUpdate(served.parts, update, { from: UPDATE_CHUNK_BYTES })) kept.push(piece);
  expect(Buffer.concat(kept).equals(PACKAGE)).toBe(true);
});

test('nothing is rolled out to a device: there is no update, and nothing is read', async () => {
  const served = new Served();
  served.offer = { release: null, requiredFrom: null };
  served.answer = (path) => (path === 'offer' ? undefined : new Response('', { status: 500 }));
  expect(await checkForUpdate(served.parts)).toBeUndefined();
});

test.each([
  ['one of another app', releaseOf('r1', '1.10.0', PACKAGE, { app: 'other.app' }), 'UPDATE_OTHER_APP'],
  ['a downgrade', releaseOf('r1', '1.8.9', PACKAGE), 'UPDATE_DOWNGRADE'],
  ['the version that is there', releaseOf('r1', '1.9', PACKAGE), 'UPDATE_DOWNGRADE'],
  ['a release that is malformed', releaseOf('r1', 'latest', PACKAGE), 'UPDATE_MALFORMED'],
  ['a release whose pieces are missing', releaseOf('r1', '2', PACKAGE, { chunks: [] }), 'UPDATE_MALFORMED'],
  ['a release that is not signed', releaseOf('r2', '1.10.0', PACKAGE), 'UPDATE_CHANGED'],
] as const)('refuses %s', async (_what, release, code) => {
  await expect(checkForUpdate(new Served(release).parts)).rejects.toMatchObject({ code });
});

test('a release that was swapped for another one is refused', async () => {
  const served = new Served();
  const path = `targets/${releasePath('r1')}`;
  served.repository.files.set(path, Buffer.from(JSON.stringify(releaseOf('r1', '10.99.99', PACKAGE))));
  await expect(checkForUpdate(served.parts)).rejects.toMatchObject({ code: 'UPDATE_TOO_LARGE' });
  const sameLength = Buffer.from(JSON.stringify(releaseOf('r1', '1.11.0', PACKAGE)));
  served.repository.files.set(path, sameLength);
  await expect(checkForUpdate(served.parts)).rejects.toMatchObject({ code: 'UPDATE_CHANGED' });
});

test('of a package that was swapped no byte of a wrong piece is handed over', async () => {
  const served = new Served();
  const update = (await checkForUpdate(served.parts))!;
  const changed = Buffer.from(PACKAGE);
  changed[UPDATE_CHUNK_BYTES + 7]! ^= 1;
  served.package = changed;
  const kept: Uint8Array[] = [];
  const download = async (): Promise<void> => {
    for await (const piece of downloadUpdate(served.parts, update)) kept.push(piece);
  };
  await expect(download()).rejects.toMatchObject({ code: 'UPDATE_CHANGED' });
  expect(Buffer.concat(kept).equals(PACKAGE.subarray(0, UPDATE_CHUNK_BYTES))).toBe(true);
});

test('a package that has no end is left at the end of what was signed', async () => {
  const served = new Served();
  const update = (await checkForUpdate(served.parts))!;
  served.package = Buffer.concat([PACKAGE, randomBytes(5)]);
  await expect(whole(downloadUpdate(served.parts, update))).rejects.toMatchObject({ code: 'UPDATE_CHANGED' });
});

test('metadata and packages that trickle are given up', async () => {
  const served = new Served();
  const update = (await checkForUpdate(served.parts))!;
  const trickle = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      pull: (controller) => {
        served.nowMs += 5_000;
        controller.enqueue(Uint8Array.of(1));
      },
    });
  served.answer = (path) => {
    const headers = { 'content-range': 'bytes 0-9/10' };
    return path === 'offer'
      ? undefined
      : new Response(trickle(), { status: path.startsWith('packages') ? 206 : 200, headers });
  };
  await expect(whole(downloadUpdate(served.parts, update))).rejects.toMatchObject({ code: 'UPDATE_SLOW' });
  await expect(checkForUpdate(served.parts)).rejects.toMatchObject({ code: 'UPDATE_SLOW' });
});

test('a device that was pinned to nothing takes nothing', async () => {
  const parts = { ...new Served().parts, stored: () => undefined };
  await expect(checkForUpdate(parts)).rejects.toMatchObject({ code: 'UPDATE_SIGNATURE' });
});

test('a release for another system is refused, whoever offers it', async () => {
  const { parts } = new Served(releaseOf('r1', '1.10.0', PACKAGE, { os: 'android' }));
  await expect(checkForUpdate(parts)).rejects.toMatchObject({ code: 'UPDATE_OTHER_APP' });
});

test('a release for later systems is refused, whoever offers it; a system of unknown version may try', async () => {
  const later = new Served(releaseOf('r1', '1.10.0', PACKAGE, { minOsVersion: '6.1' }));
  await expect(checkForUpdate(later.parts)).rejects.toMatchObject({ code: 'UPDATE_OTHER_APP' });
  for (const osVersion of ['6.1', '', '6.1.0-13-amd64']) {
    const parts = { ...later.parts, context: () => ({ ...CONTEXT, osVersion }) };
    expect(await checkForUpdate(parts), osVersion).toMatchObject({ release: 'r1' });
  }
});

test('what falls silent is given up after a minute: before its head, in its body, and in a download', async () => {
  const update = (await checkForUpdate(new Served().parts))!;
  const silent = (): Response => new Response(new ReadableStream({ start: (body) => body.enqueue(Uint8Array.of(1)) }));
  const served = new Served();
  const isSlow = { code: 'UPDATE_SLOW' };
  vi.useFakeTimers();
  try {
    const withinAMinute = async (work: Promise<unknown>): Promise<void> => {
      const outcome = expect(work).rejects.toMatchObject(isSlow);
      await vi.advanceTimersByTimeAsync(60_000);
      await outcome;
    };
    served.answer = () => silent();
    await withinAMinute(checkForUpdate(served.parts));
    const parts = { ...served.parts, fetch: (() => new Promise(() => undefined)) as typeof fetch };
    await withinAMinute(checkForUpdate(parts));
    await withinAMinute(whole(downloadUpdate(parts, update)));
    const headers = { 'content-range': `bytes 0-${PACKAGE.length - 1}/${PACKAGE.length}` };
    served.answer = () => new Response(silent().body, { status: 206, headers });
    await withinAMinute(whole(downloadUpdate(served.parts, update)));
  } finally {
    vi.useRealTimers();
  }
});
