import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRealm, memoryJournal, revoke } from '@sallyport/access';
import { expect, test } from 'vitest';
import { openJournalWriter } from '../../src/journal/journal.ts';
import { openFileJournal } from '../../src/journal/journal-file.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };

async function withEntry() {
  const {
    context: { access, log },
    lines,
  } = await scene();
  const entry = await revoke(access, { requestId: 'r-1', kind: 'before', subject: 'now' }, BY);
  const { epoch } = await access.store.transaction((transaction) => getRealm(transaction));
  const open = (journal = memoryJournal()) =>
    openJournalWriter({ journal, authorityMs: undefined }, { store: access.store, epoch, log });
  return { access, entry, epoch, open, lines };
}

test('a journal that was lost or is new is whole again when a node has started', async () => {
  const { entry, open } = await withEntry();
  const journal = memoryJournal();
  expect((await open(journal)).written).toBe(entry.index);
  expect((await journal.read()).entries).toMatchObject([{ requestId: 'r-1', hash: entry.hash }]);
});

test.each([
  ['lost the entry', 2, ''],
  ['has another one in its place', 1, 'f'.repeat(64)],
])('no node starts on a database that %s which its journal holds', async (_what, index, hash) => {
  const { epoch, open } = await withEntry();
  const journal = memoryJournal();
  await journal.claim(undefined, epoch);
  const entry = { requestId: 'x', kind: 'user', subject: 'u', reason: '', actor: '', at: 0 } as const;
  await journal.append(epoch, [{ ...entry, epoch, index, hash }]);
  await expect(open(journal)).rejects.toThrow('older than its journal');
});

test('a journal that loses entries under a running node is whole again before anything else is in force', async () => {
  const { access, entry, epoch, open, lines } = await withEntry();
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-journal-'));
  const journal = await openFileJournal(folder);
  const writer = await open(journal);
  rmSync(join(folder, `entries.${epoch}`));
  // As a node does once a second.
  expect(await writer.look()).toBe(true);
  expect(writer.damaged).toBe(true);
  await writer.upTo(entry.index);
  expect(await (await openFileJournal(folder)).read()).toMatchObject({ entries: [{ requestId: 'r-1' }], damaged: [] });
  expect(lines.join()).toContain('the journal had lost entries');

  // A revocation that comes before the node has looked.
  writeFileSync(join(folder, `entries.${epoch}`), '');
  const next = await revoke(access, { requestId: 'r-2', kind: 'before', subject: 'now' }, BY);
  await writer.upTo(next.index);
  const read = await (await openFileJournal(folder)).read();
  expect([read.entries.map(({ requestId }) => requestId), read.damaged]).toEqual([['r-1', 'r-2'], []]);
  rmSync(folder, { recursive: true });
});

test('a journal that was not written to its end again is, at the next start', async () => {
  const { epoch, open } = await withEntry();
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-journal-'));
  await open(await openFileJournal(folder));
  writeFileSync(join(folder, `entries.${epoch}`), '');
  const journal = await openFileJournal(folder);
  await open(journal);
  expect(await journal.read()).toMatchObject({ entries: [{ requestId: 'r-1' }], damaged: [] });
  rmSync(folder, { recursive: true });
});
