import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { journalContract } from '../../../libs/access/test/journal.contract.ts';
import { openFileJournal } from '../src/journal-file.ts';

const scratch = mkdtempSync(join(tmpdir(), 'sallyport-journal-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let count = 0;
const folder = (): string => join(scratch, String(count++));

journalContract('file', async () => {
  const where = folder();
  return () => openFileJournal(where);
});

const ONE = '1'.repeat(32);
const ENTRY = {
  epoch: ONE,
  index: 1,
  hash: '',
  requestId: 'r',
  kind: 'user',
  subject: 'u',
  reason: '',
  actor: '',
  at: 0,
} as const;

test('a line that a power cut has torn spoils no other, and is not passed over in silence', async () => {
  const where = folder();
  const journal = await openFileJournal(where);
  await journal.claim(undefined, ONE);
  await journal.append(ONE, [ENTRY]);
  appendFileSync(join(where, 'revocations.jsonl'), '\n0123456789abcdef {"epo');
  await journal.append(ONE, [{ ...ENTRY, index: 2, requestId: 's' }]);
  const { entries, damaged } = await journal.read();
  expect(entries.map(({ index }) => index)).toEqual([1, 2]);
  expect(damaged).toBe(1);
});

test('a line that a full disk has torn is no damage once it was written again', async () => {
  const where = folder();
  const journal = await openFileJournal(where);
  await journal.claim(undefined, ONE);
  await journal.append(ONE, [ENTRY]);
  const file = join(where, 'revocations.jsonl');
  const whole = readFileSync(file, 'utf8');
  writeFileSync(file, whole.slice(0, -7));
  expect(await journal.read()).toMatchObject({ entries: [], damaged: 1 });
  await journal.append(ONE, [ENTRY]);
  expect(await journal.read()).toMatchObject({ entries: [ENTRY], damaged: 0 });
});

test('a changed entry is damage, not an entry', async () => {
  const where = folder();
  const journal = await openFileJournal(where);
  await journal.claim(undefined, ONE);
  await journal.append(ONE, [ENTRY]);
  const file = join(where, 'revocations.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"u"', '"v"'));
  expect(await journal.read()).toMatchObject({ entries: [], damaged: 1 });
});
