import { expect, test } from 'vitest';
import { archiveTrouble, parseArchiveContents } from '../src/index.ts';

test.each<[said: string, exitCode: number, code: string | undefined]>([
  ['', 0, undefined],
  [
    "unable to write '/r/x.lz4': [28] No space left on device\nERROR: [082]: WAL was not archived",
    82,
    'ERR_ARCHIVE_FULL',
  ],
  ["unable to open file '/r/x' for write: [13] Permission denied", 82, 'ERR_ARCHIVE_READ_ONLY'],
  ["unable to open file '/r/x' for write: [30] Read-only file system", 47, 'ERR_ARCHIVE_READ_ONLY'],
  ['FormatError: key/value found outside of section at line 1: \u0000\u0007x', 29, 'ERR_ARCHIVE_PASSPHRASE'],
  // What 2.45 does on another host than the repository's, with the same wrong passphrase.
  ['', 139, 'ERR_ARCHIVE_PASSPHRASE'],
  ["ERROR: [049]: unable to connect to '10.0.0.9:8432': [111] Connection refused", 49, 'ERR_ARCHIVE_GONE'],
  ["ERROR: [103]: unable to find backup set with stop time less than '2026'", 103, 'ERR_ARCHIVE_TIME'],
  ['FATAL:  recovery ended before configured recovery target was reached', 1, 'ERR_ARCHIVE_TIME'],
  ['HINT: has a stanza-create been performed?', 55, 'ERR_ARCHIVE_STANZA'],
  ['ERROR: [031]: something new', 31, 'ERR_ARCHIVE_FAILED'],
])('what pgBackRest says is named: %j', (said, exitCode, code) => {
  expect(archiveTrouble(said, exitCode)?.code).toBe(code);
});

test('what nobody has a name for is said in its own words, cut short', () => {
  const trouble = archiveTrouble(`ERROR: [031]: ${'x'.repeat(5_000)}`, 31)!;
  expect(trouble.words).toContain('(exit code 31)');
  expect(trouble.words.length).toBeLessThan(300);
});

test('the contents of a repository are read from what pgBackRest prints', () => {
  const info = {
    archive: [{ id: '15-1', min: '000000010000000000000001', max: '000000010000000000000004' }],
    backup: [
      {
        label: '20261126-064940F',
        type: 'full',
        error: false,
        timestamp: { start: 1_795_675_780, stop: 1_795_675_785 },
        info: { repository: { delta: 4_546_800 } },
      },
    ],
    status: { code: 0, message: 'ok' },
    repo: [{ status: { code: 0, message: 'ok' } }],
  };
  expect(parseArchiveContents(JSON.stringify([info]))).toEqual({
    backups: [
      {
        label: '20261126-064940F',
        type: 'full',
        startedAt: 1_795_675_780_000,
        endedAt: 1_795_675_785_000,
        bytes: 4_546_800,
        damaged: false,
      },
    ],
    newestWal: '000000010000000000000004',
    complaint: undefined,
  });
  expect(parseArchiveContents('[]').complaint).toMatch(/empty/);
});
