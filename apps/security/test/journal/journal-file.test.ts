import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { journalContract } from '../../../../libs/access/test/journal.contract.ts';
import { openFileJournal } from '../../src/journal/journal-file.ts';

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

const fileIn = (where: string): string => join(where, `entries.${ONE}`);

async function written(count = 1) {
  const where = folder();
  const journal = await openFileJournal(where);
  await journal.claim(undefined, ONE);
  const entries = Array.from({ length: count }, (_, i) => ({ ...ENTRY, index: i + 1, requestId: `r${i}` }));
  await journal.append(ONE, entries);
  return { where, journal, entries, file: fileIn(where) };
}

test('a line that a power cut has torn spoils no other, and is not passed over in silence', async () => {
  const { journal, file } = await written();
  appendFileSync(file, '\n0123456789abcdef {"epo');
  await journal.append(ONE, [{ ...ENTRY, index: 2, requestId: 's' }]);
  const { entries, damaged } = await journal.read();
  expect(entries.map(({ index }) => index)).toEqual([1, 2]);
  expect(damaged).toEqual([ONE]);
});

test('a line that a full disk has torn is no damage once it was written again', async () => {
  const { where, file, entries } = await written();
  const whole = readFileSync(file, 'utf8');
  writeFileSync(file, whole.slice(0, -7));
  // After a new start: who was there before knows that the file was longer.
  const journal = await openFileJournal(where);
  expect(await journal.read()).toMatchObject({ entries: [], damaged: [ONE] });
  await journal.append(ONE, entries);
  expect(await journal.read()).toMatchObject({ entries, damaged: [] });
});

test('a changed entry is damage, not an entry, until all are written again', async () => {
  const { journal, entries, file } = await written();
  writeFileSync(file, readFileSync(file, 'utf8').replace('"u"', '"v"'));
  expect(await journal.read()).toMatchObject({ entries: [], damaged: [ONE] });
  await journal.mend(ONE, entries);
  expect(await journal.read()).toMatchObject({ entries, damaged: [] });
});

test.each([
  ['is removed', (file: string) => rmSync(file)],
  ['is cut off', (file: string) => truncateSync(file, 200)],
  ['is emptied', (file: string) => truncateSync(file, 0)],
  [
    'is another one',
    (file: string) => {
      const text = readFileSync(file);
      renameSync(file, `${file}.old`);
      writeFileSync(file, text);
    },
  ],
])(
  'a file of entries that %s under a running node has lost entries: nothing is appended to it',
  async (_what, lose) => {
    const { journal, file, entries } = await written(3);
    expect(await journal.holds(ONE, 3)).toBe(true);
    lose(file);
    expect(await journal.holds(ONE, 3)).toBe(false);
    const next = { ...ENTRY, index: 4, requestId: 'n' };
    await expect(journal.append(ONE, [next])).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    await journal.mend(ONE, entries);
    await journal.append(ONE, [next]);
    const read = await journal.read();
    expect(read.damaged).toEqual([]);
    expect([...new Set(read.entries.map(({ index }) => index))]).toEqual([1, 2, 3, 4]);
  },
);

test('a file that is missing although its epoch has the claim is damage, after a new start as well', async () => {
  const { where, file } = await written();
  rmSync(file);
  const journal = await openFileJournal(where);
  expect(await journal.read()).toMatchObject({ epochs: [ONE], entries: [], damaged: [ONE] });
  await expect(journal.append(ONE, [ENTRY])).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
});

test('entries that were written again, but not to the end, are damage', async () => {
  const { where, journal, entries, file } = await written(3);
  const before = readFileSync(file, 'utf8').length;
  await journal.mend(ONE, entries);
  const [begin = '', ...rest] = readFileSync(file, 'utf8').slice(before).split('\n').filter(Boolean);
  for (const lines of [[begin], [begin, ...rest.slice(0, 2)]]) {
    truncateSync(file, before);
    appendFileSync(file, lines.map((line) => `\n${line}\n`).join(''));
    expect((await (await openFileJournal(where)).read()).damaged).toEqual([ONE]);
  }
});

test('two folders are two journals', async () => {
  const [one, other] = await Promise.all([openFileJournal(folder()), openFileJournal(folder())]);
  expect(one.identity).not.toBe(other.identity);
});
