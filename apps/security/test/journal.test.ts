import { getRealm, memoryJournal, revoke } from '@sallyport/access';
import { expect, test } from 'vitest';
import { openJournalWriter } from '../src/journal.ts';
import { scene } from './scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };

async function withEntry() {
  const { access } = (await scene()).context;
  const entry = await revoke(access, { requestId: 'r-1', kind: 'before', subject: 'now' }, BY);
  const { epoch } = await access.store.transaction((transaction) => getRealm(transaction));
  const open = (journal = memoryJournal()) =>
    openJournalWriter({ journal, authorityMs: undefined }, access.store, epoch);
  return { access, entry, epoch, open };
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
