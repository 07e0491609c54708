import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type BackupTarget,
  markTarget,
  openPatiently,
  openTarget,
  parseTargetPlace,
  patientTarget,
} from '../src/index.ts';
import { isClosedFile } from '../src/place.ts';

const HOST_KEY = `SHA256:${'a+/4'.repeat(10)}abc`;

async function* text(content: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(content);
}

test('targets are said in words that are the same for the same place and have no secret', () => {
  for (const [written, description] of [
    ['file:/srv/backup/', 'folder /srv/backup'],
    [`sftp://sally@nas:2222/exports/?key=/etc/key&hostkey=${HOST_KEY}`, 'SFTP sally@nas:2222/exports'],
    [`sftp://sally@[::1]/e?key=/etc/key&hostkey=${HOST_KEY}&hostkey=${HOST_KEY}`, 'SFTP sally@[::1]:22/e'],
    [
      's3://exports/deep/er?endpoint=https://s3.example:9000&region=eu-1&credentials=/etc/s3.json',
      'S3 bucket exports/deep/er at s3.example:9000',
    ],
    ['s3://exports?endpoint=http://127.0.0.1:9000&region=x&credentials=/c', 'S3 bucket exports at 127.0.0.1:9000'],
  ] as const)
    expect(parseTargetPlace(written).description).toBe(description);
});

test('what is no target is refused, and nothing of it is in the message', () => {
  for (const written of [
    'hunter2',
    'ftp://hunter2@nas/x',
    'file:/',
    'file://hunter2/srv',
    'file:/srv?hunter2=1',
    `sftp://sally:hunter2@nas/x?key=/k&hostkey=${HOST_KEY}`,
    `sftp://nas/hunter2?key=/k&hostkey=${HOST_KEY}`,
    `sftp://sally@nas/hunter2/../x?key=/k`,
    'sftp://sally@nas/x?key=/hunter2',
    'sftp://sally@nas/x?key=/hunter2&hostkey=MD5:00',
    `sftp://sally@nas/x?hostkey=${HOST_KEY}&hunter2=1`,
    `sftp://sally@nas/?key=/hunter2&hostkey=${HOST_KEY}`,
    's3://exports?endpoint=http://hunter2.example&region=x&credentials=/c',
    's3://exports?endpoint=https://u:hunter2@s3.example&region=x&credentials=/c',
    's3://hunter2:key@exports?endpoint=https://s3.example&region=x&credentials=/c',
    's3://exports?endpoint=https://s3.example&region=x&secret=hunter2',
    's3://exports?endpoint=https://s3.example&region=x&credentials=/hunter2&credentials=/c',
    's3://e?endpoint=https://s3.example&region=x&credentials=/hunter2',
  ])
    expect(() => parseTargetPlace(written), written).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
    );
});

test('a key file that others may read is not used, and no message says what is in it', async () => {
  const folder = scratchFolder();
  const file = join(folder, 'key');
  const place = parseTargetPlace(`s3://exports?endpoint=http://127.0.0.1:1&region=x&credentials=${file}`);
  await expect(place.open()).rejects.toMatchObject({ code: 'ERR_TARGET_DENIED' });
  writeFileSync(file, '{"accessKeyId": "hunter2"}', { mode: 0o600 });
  await expect(place.open()).rejects.toThrow(
    expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
  );
  chmodSync(file, 0o640);
  await expect(place.open()).rejects.toThrow('others may read');
  rmSync(folder, { recursive: true });
});

test('a share that is not mounted is not written to and not read as empty', async () => {
  const mountPoint = join(scratchFolder(), 'share');
  mkdirSync(mountPoint);
  const place = parseTargetPlace(`file:${mountPoint}`);
  await expect((await openTarget(place)).put('main/a/x', text('x'))).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
  const bare = await place.open();
  expect([await markTarget(bare), await markTarget(bare)]).toEqual([true, false]);
  const target = await openTarget(place);
  await target.put('main/a/x', text('x'));
  expect(await target.list('')).toEqual([{ path: 'main/a/x', bytes: 1 }]);
  renameSync(mountPoint, `${mountPoint}-unmounted`);
  mkdirSync(mountPoint);
  for (const work of [
    () => target.put('main/a/y', text('y')),
    () => target.list(''),
    () => target.remove('main/a/x'),
    async () => {
      for await (const _ of target.get('main/a/x'));
    },
  ])
    await expect(work()).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
  expect(await bare.list('')).toEqual([]);
});

/** A target that hangs like a share whose server is gone. */
function hanging(): BackupTarget {
  const never = new Promise<never>(() => undefined);
  return {
    description: 'a share',
    put: async (_path, content) => {
      for await (const _ of content);
      return never;
    },
    async *get() {
      yield Buffer.from('x');
      await never;
    },
    list: () => never,
    remove: () => never,
    close: () => never,
  };
}

test('nobody waits for a target that hangs', async () => {
  const target = patientTarget(hanging(), 200);
  for (const work of [
    () => target.put('main/a/x', text('x')),
    async () => {
      for await (const _ of target.get('main/a/x'));
    },
    () => target.list(''),
    () => target.remove('main/a/x'),
  ])
    await expect(work()).rejects.toMatchObject({ code: 'ERR_TARGET_SLOW' });
  const opening = openPatiently({ description: 'a share', open: () => new Promise<never>(() => undefined) }, 200);
  await expect(opening).rejects.toMatchObject({ code: 'ERR_TARGET_SLOW' });
});

test('who reads from a target that hangs waits once, not once more until it lets go', async () => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
  // A length of time that nothing else in this process waits for.
  const silenceMs = 60_007;
  const waits = vi.spyOn(globalThis, 'setTimeout');
  const pieces = patientTarget(hanging(), silenceMs).get('main/a/x')[Symbol.asyncIterator]();
  await pieces.next();
  let failure: unknown;
  void pieces.next().catch((error: unknown) => {
    failure = error;
  });
  await vi.advanceTimersByTimeAsync(silenceMs);
  expect(failure).toMatchObject({ code: 'ERR_TARGET_SLOW' });
  // For the piece that came, and for the one that does not.
  expect(waits.mock.calls.filter(([, ms]) => ms === silenceMs)).toHaveLength(2);
});

test('a server of a target is named with its port, and its CA where it speaks TLS', () => {
  const serverOf = (written: string) => parseTargetPlace(written).server;
  expect(serverOf('file:/srv/backup')).toBeUndefined();
  expect(serverOf(`sftp://sally@[::1]:2222/e?key=/k&hostkey=${HOST_KEY}`)).toEqual({
    host: '::1',
    port: 2222,
    tls: false,
  });
  const s3 = 's3://exports?region=eu-1&credentials=/c&endpoint=';
  expect(serverOf(`${s3}https://s3.example&ca=/ca.pem`)).toEqual({
    ...{ host: 's3.example', port: 443, tls: true, caFile: '/ca.pem' },
  });
  expect(serverOf(`${s3}http://127.0.0.1:9000`)).toEqual({ host: '127.0.0.1', port: 9000, tls: false });
});

test.each([
  ['of its owner alone', 0o100600, 1000, 1000, true],
  ['of root and our own group, as secrets are mounted in pods', 0o100440, 0, 65_532, true],
  ['of root and another group', 0o100440, 0, 7, false],
  ['of root, which its own group may write', 0o100660, 0, 65_532, false],
  ['of somebody else and our own group', 0o100440, 1000, 65_532, false],
  ['which everybody reads', 0o100444, 0, 65_532, false],
] as const)('a file with a secret %s: %o', (_whose, mode, uid, gid, closed) => {
  expect(isClosedFile({ mode, uid, gid }, 65_532)).toBe(closed);
});
