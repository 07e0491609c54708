import { expect, test } from 'vitest';
import { explanationOf } from '../src/explain.ts';
import { startError } from '../src/start-error.ts';

const RECORDS = [
  '{"level":30,"msg":"Server listening at http://127.0.0.1:8446"}',
  '{"level":40,"err":{"message":"the database does not answer","stack":"StoreError: …"},"msg":"a beat failed"}',
  'FATAL: no such thing',
];

test('why a server did not start is said in a line, with the end of its log in words', () => {
  const error = new Error(`security did not start: it ended with 1\n${RECORDS.join('\n')}\n`);
  expect(explanationOf(startError(error, 'the whole log is in x.log'))).toEqual({
    words: 'security did not start: it ended with 1',
    next: 'the whole log is in x.log',
    log: [
      'Server listening at http://127.0.0.1:8446',
      'a beat failed: the database does not answer',
      'FATAL: no such thing',
    ],
  });
});

test('of a long log the last five lines are shown', () => {
  const error = new Error(['it did not start', ...Array.from({ length: 9 }, (_, i) => `line ${i}`)].join('\n'));
  expect(startError(error, '').log).toEqual(['line 4', 'line 5', 'line 6', 'line 7', 'line 8']);
});
