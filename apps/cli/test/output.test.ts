import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { counted, formatRows } from '../src/output.ts';

test('heads of tables are words, and their cells carry units', () => {
  const row = {
    name: 'node-1',
    startedAt: 0,
    silentMs: 1_500,
    clockOffsetMs: -20_000,
    lastChannel: 7,
    invitedBy: null,
    ms: 12,
  };
  const [head, cells] = stripVTControlCharacters(formatRows([row], Object.keys(row)))
    .split('\n')
    .map((line) => line.split(/ {2,}/));
  expect(head).toEqual([
    'NAME',
    'STARTED',
    'SILENT FOR',
    'CLOCK IS OFF BY',
    'LAST CHANNEL NO.',
    'INVITED BY',
    'TOOK (MS)',
  ]);
  expect(cells).toEqual(['node-1', '-', '1500 ms', '-20 s', '7', '-', '12']);
});

test('one thing is one, and none or more are many', () => {
  expect([0, 1, 2].map((count) => counted(count, 'user'))).toEqual(['0 users', '1 user', '2 users']);
});
