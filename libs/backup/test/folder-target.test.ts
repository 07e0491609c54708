import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { expect, test, vi } from 'vitest';
import { inFolderTurn } from '../src/folder-turns.ts';
import { openFolderTarget } from '../src/index.ts';
import { targetContract } from './target.contract.ts';

async function* text(content: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(content);
}

targetContract('folder', async () => {
  const folder = scratchFolder();
  return () => openFolderTarget(folder);
});

test('a folder that is not there, as in a share that is not mounted, is never made', async () => {
  const folder = join(scratchFolder(), 'share');
  await expect(openFolderTarget(folder)).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
  mkdirSync(folder);
  const target = await openFolderTarget(folder);
  await target.put('main/a/x', text('x'));
  renameSync(folder, `${folder}-away`);
  for (const work of [
    () => target.put('main/a/y', text('y')),
    () => target.list('main'),
    () => target.remove('main/a/x'),
  ])
    await expect(work()).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
  await expect(target.get('main/a/x')[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'ERR_TARGET_GONE',
  });
  expect(readdirSync(join(folder, '..'))).toEqual(['share-away']);
});

test('what a process left that ended while it wrote is no object, and goes with the next one once it is an hour old', async () => {
  const folder = scratchFolder();
  const target = await openFolderTarget(folder);
  await target.put('main/a/x', text('x'));
  const drafts = join(folder, '.drafts');
  const leave = (name: string, minutes: number): void => {
    const writtenAt = new Date(Date.now() - minutes * 60_000);
    writeFileSync(join(drafts, name), 'half');
    utimesSync(join(drafts, name), writtenAt, writtenAt);
  };
  leave('old', 61);
  leave('young', 59);
  await target.put('main/a/y', text('y'));
  expect(readdirSync(drafts)).toEqual(['young']);
  expect((await target.list('')).map(({ path }) => path)).toEqual(['main/a/x', 'main/a/y']);
});

test('a draft of somebody who writes stays, also where our clock is hours ahead of that of the folder', async () => {
  const folder = scratchFolder();
  const [target, other] = [await openFolderTarget(folder), await openFolderTarget(folder)];
  async function* slow(): AsyncIterable<Uint8Array> {
    yield Buffer.from('be');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * 3_600_000 });
    await other.put('main/a/y', text('y')).finally(() => vi.useRealTimers());
    yield Buffer.from('gun');
  }
  await target.put('main/a/x', slow());
  expect((await target.list('')).map(({ bytes }) => bytes)).toEqual([5, 1]);
});

test('a folder in which a file has the name of a folder says so and is not overwritten', async () => {
  const folder = scratchFolder();
  writeFileSync(join(folder, 'main'), 'a file');
  const target = await openFolderTarget(folder);
  await expect(target.put('main/a/x', text('x'))).rejects.toMatchObject({ name: 'TargetError' });
});

test('what is no file, as a pipe or a folder of that name, is damaged, and nobody waits for it', async () => {
  const folder = scratchFolder();
  const target = await openFolderTarget(folder);
  await target.put('main/a/manifest.json', text('x'));
  execFileSync('mkfifo', [join(folder, 'main/a/data.age')]);
  mkdirSync(join(folder, 'main/a/README.txt'));
  for (const path of ['main/a/data.age', 'main/a/README.txt'])
    await expect(target.get(path)[Symbol.asyncIterator]().next(), path).rejects.toMatchObject({
      code: 'ERR_TARGET_DAMAGED',
    });
  expect((await target.list('main')).map(({ path }) => path)).toEqual(['main/a/manifest.json']);
});

/** A system call that hangs at a folder until `answer` is called. */
function hangAt(folder: string): { readonly answer: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  void inFolderTurn({ folder, waitMs: 1_000 }, () => promise);
  return { answer: resolve };
}

test('a folder that hangs gets no second system call, others go on, and it is used again once it answers', async () => {
  const [share, other] = [scratchFolder(), scratchFolder()];
  const target = await openFolderTarget(share, 100);
  const hanging = hangAt(share);
  const late = { code: 'ERR_TARGET_SLOW', message: expect.stringContaining(share) };
  await expect(openFolderTarget(share, 100)).rejects.toMatchObject(late);
  await expect(target.list('')).rejects.toMatchObject(late);
  await expect(target.put('main/a/x', text('x'))).rejects.toMatchObject(late);
  await (await openFolderTarget(other, 100)).put('main/a/x', text('x'));
  hanging.answer();
  await target.put('main/a/y', text('y'));
  expect((await target.list('')).map(({ path }) => path)).toEqual(['main/a/y']);
});

test('folders that hang never hold more than two threads of the process', async () => {
  const folder = scratchFolder();
  const hanging = [hangAt('/a'), hangAt('/b')];
  const late = { code: 'ERR_TARGET_SLOW', message: expect.stringContaining('/a and /b did not answer') };
  await expect(openFolderTarget(folder, 100)).rejects.toMatchObject(late);
  const waiting = openFolderTarget(folder, 60_000);
  hanging[1]!.answer();
  expect(await (await waiting).list('')).toEqual([]);
  hanging[0]!.answer();
});
