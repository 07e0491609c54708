import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { disableUser, putUser, readRealm, revoke } from '@sallyport/access';
import { type BackupTarget, openFolderTarget } from '@sallyport/backup';
import { afterEach, expect, test } from 'vitest';
import { heldUpTo, listCopies, readCopies } from '../../src/journal/copy-objects.ts';
import { JournalCopies } from '../../src/journal/journal-copies.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'canary of a reason' };
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A node that copies its log to a folder. */
async function copying({ first = true }: { first?: boolean } = {}) {
  const { context, clock, lines } = await scene();
  const { access } = context;
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-copies-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const { epoch } = await readRealm(access.store);
  const journal = { written: 0 };
  const fault: { error?: Error } = {};
  const open = async (): Promise<BackupTarget> => {
    if (fault.error) throw fault.error;
    return openFolderTarget(folder);
  };
  const node = { isFirst: () => first, head: () => 0 };
  const parts = { access, epoch, node, journal, monotonicMs: () => clock.now, log: context.log };
  const copies = new JournalCopies(parts, [{ description: 'a folder', open }]);
  const revokeMany = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++)
      await revoke(access, { requestId: `r-${Math.random()}`, kind: 'app', subject: 'a@1' }, BY);
    journal.written = (await readRealm(access.store)).head;
  };
  const read = async () => readCopies(await openFolderTarget(folder), access.keyring, 'main');
  return { access, clock, copies, epoch, fault, folder, journal, lines, read, revokeMany };
}

function filesOf(folder: string): string[] {
  return (readdirSync(folder, { recursive: true, withFileTypes: true }) as import('node:fs').Dirent[])
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('the log is at the target with who and why, and whoever reads the target sees neither', async () => {
  const of = await copying();
  const { user } = await putUser(of.access, 'ada', {}, BY);
  await disableUser(of.access, 'ada', 'request-of-ada', BY);
  await of.revokeMany(1_200);
  await of.copies.look();
  const { head } = await readRealm(of.access.store);
  expect(of.copies.views).toEqual([{ place: 'a folder', written: head, behindMs: 0 }]);
  const { copies, unreadable } = await of.read();
  expect(unreadable).toEqual([]);
  const entries = copies.flatMap((copy) => copy.entries);
  expect(entries.map(({ index }) => index)).toEqual(Array.from({ length: head }, (_, i) => i + 1));
  expect(entries[0]).toMatchObject({
    epoch: of.epoch,
    requestId: 'request-of-ada',
    kind: 'user',
    subject: user.id,
    ...BY,
  });
  const raw = filesOf(of.folder)
    .map((file) => readFileSync(file, 'latin1'))
    .join();
  for (const canary of ['canary', 'olga', 'request-of-ada', user.id]) expect(raw).not.toContain(canary);
});

test('a copy never goes before the journal, and goes on where it was', async () => {
  const of = await copying();
  await of.revokeMany(5);
  of.journal.written = 3;
  await of.copies.look();
  expect(of.copies.views[0]).toMatchObject({ written: 3, behindMs: 0 });
  of.journal.written = 5;
  await of.copies.look();
  const objects = await listCopies(await openFolderTarget(of.folder), 'main', of.epoch);
  expect(objects.map(({ first, last }) => [first, last])).toEqual([
    [1, 3],
    [4, 5],
  ]);
});

test('a target that is gone is named once it is behind for long, and is caught up with when it is back', async () => {
  const of = await copying();
  of.fault.error = new Error('the share is not mounted');
  await of.revokeMany(2);
  await of.copies.look();
  expect(of.copies.words()).toEqual([]);
  of.clock.now += 61_000;
  await of.copies.look();
  expect(of.copies.words()).toEqual([
    'the copy of the journal at a folder lacks 2 entries for 61 s: the share is not mounted',
  ]);
  expect(of.lines.filter((line) => line.includes('the copy of the journal is behind'))).toHaveLength(1);
  delete of.fault.error;
  of.clock.now += 61_000;
  await of.copies.look();
  expect(of.copies.words()).toEqual([]);
  expect(of.copies.views[0]).toMatchObject({ written: 2, behindMs: 0 });
});

test('of several nodes one writes, and the others see how far it is', async () => {
  const of = await copying({ first: false });
  await of.revokeMany(2);
  await of.copies.look();
  expect(filesOf(of.folder)).toEqual([]);
  expect(of.copies.views[0]).toMatchObject({ written: 0 });
});

test('what was changed, moved to another place or made up is not read', async () => {
  const of = await copying();
  await of.revokeMany(2);
  await of.copies.look();
  const [file] = filesOf(of.folder);
  const bytes = readFileSync(file!);
  const beside = (name: string, content: Buffer): void => writeFileSync(join(file!, '..', name), content);
  beside('0000000003-0000000004-00000000', bytes);
  beside('0000000001-0000000002-00000000', Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])]));
  beside('0000000001-0000000002-00000001', bytes.subarray(0, 20));
  beside('readme.txt', bytes);
  const { copies, unreadable } = await of.read();
  expect(copies).toHaveLength(1);
  expect(unreadable.map((path) => path.split('/').at(-1))).toEqual([
    '0000000001-0000000002-00000000',
    '0000000001-0000000002-00000001',
    '0000000003-0000000004-00000000',
  ]);
});

test.each([
  [[], 0],
  [[[1, 3]], 3],
  [
    [
      [4, 5],
      [1, 3],
    ],
    5,
  ],
  [
    [
      [1, 3],
      [5, 6],
    ],
    3,
  ],
  [
    [
      [1, 3],
      [2, 7],
      [8, 8],
    ],
    8,
  ],
  [[[2, 3]], 0],
] as const)('of %j everything is held up to %i', (ranges, held) => {
  expect(
    heldUpTo((ranges as readonly (readonly number[])[]).map(([first, last]) => ({ first: first!, last: last! }))),
  ).toBe(held);
});
