import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { openFolderTarget, openSftpTarget } from '../src/index.ts';
import { startSshd } from './sshd.ts';

const folder = scratchFolder();
const [small, fixed] = [join(folder, 'small'), join(folder, 'fixed')];
const mounts: string[] = [];

function mount(place: string, ...how: readonly string[]): void {
  mkdirSync(place, { recursive: true });
  execFileSync('mount', [...how, place], { stdio: 'pipe' });
  mounts.push(place);
}

/** Only root may mount, and not in every container. */
function mountAll(): boolean {
  try {
    mount(small, '-t', 'tmpfs', '-o', 'size=1M', 'tmpfs');
    mount(fixed, '-t', 'tmpfs', '-o', 'size=1M,ro', 'tmpfs');
    return true;
  } catch {
    return false;
  }
}

const mounted = mountAll();
const { place, running } = await startSshd(folder);
afterAll(async () => {
  await running.end();
  for (const place of mounts) execFileSync('umount', [place]);
  rmSync(folder, { recursive: true, force: true });
});

async function* megabytes(count: number): AsyncIterable<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.alloc(1_000_000, i + 1);
}

async function* half(): AsyncIterable<Uint8Array> {
  yield Buffer.alloc(500_000, 1);
}

async function* little(): AsyncIterable<Uint8Array> {
  yield Buffer.from('x');
}

for (const [kind, open] of [
  ['folder', openFolderTarget],
  ['SFTP', (own: string) => openSftpTarget({ ...place, folder: own })],
] as const) {
  test.runIf(mounted)(`${kind}: a disk that is full has a name, and takes again once there is room`, async () => {
    const target = await open(small);
    await expect(target.put('main/a/data.age', megabytes(3))).rejects.toMatchObject({ code: 'ERR_TARGET_FULL' });
    expect(await target.list('')).toEqual([]);
    await target.put('main/a/data.age', little());
    expect(await target.list('')).toHaveLength(1);
    await target.remove('main/a/data.age');
    await target.close();
  });

  test.runIf(mounted)(`${kind}: what killed processes left makes room on a disk that is full`, async () => {
    const target = await open(small);
    await target.put('main/a/x', little());
    const [left, hoursAgo] = [join(small, '.drafts/left'), new Date(Date.now() - 7_200_000)];
    writeFileSync(left, Buffer.alloc(900_000));
    utimesSync(left, hoursAgo, hoursAgo);
    await target.put('main/a/data.age', half());
    expect((await target.list('')).map(({ bytes }) => bytes)).toEqual([500_000, 1]);
    for (const { path } of await target.list('')) await target.remove(path);
    await target.close();
  });

  test.runIf(mounted)(`${kind}: a disk that may only be read has a name`, async () => {
    const target = await open(fixed);
    await expect(target.put('main/a/x', little())).rejects.toMatchObject({ code: 'ERR_TARGET_READ_ONLY' });
    await target.close();
  });
}
