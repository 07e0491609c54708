import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { explanationOf } from '../src/explain.ts';
import { CliError, formatRows } from '../src/output.ts';
import { printable, printableJson, say, widthOf } from '../src/terminal.ts';
import { userPath } from '../src/user-path.ts';

/** What no terminal should get from a text of somebody else. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

test('no text that somebody chose makes a terminal obey, turn round or begin a line', () => {
  const forged = 'ada\n2026-01-01 owner user.disable done\u001b[2J\u009b31m\u202e\u2028';
  expect(printable(forged)).not.toMatch(OBEYED);
  expect(printable('Zoë · 木村 · 👩‍💻 ü')).toContain('Zoë · 木村');
  expect(printable('\ud800')).toBe('\\ud800');
  const table = formatRows([{ actor: forged, at: 1 }], ['actor', 'at']);
  expect(table.trimEnd().split('\n')).toHaveLength(2);
  // fast-check prints the seed of a failure.
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !OBEYED.test(printable(text))));
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      (text) =>
        formatRows([{ a: [text], b: { text } }], ['a', 'b'])
          .trimEnd()
          .split('\n').length === 2,
    ),
  );
});

test('JSON for programs holds the same value, and nothing that a terminal obeys', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
      const both = { value, text };
      const printed = printableJson(both);
      expect(JSON.parse(printed)).toEqual(JSON.parse(JSON.stringify(both)));
      expect(printed.replaceAll('\n', '')).not.toMatch(OBEYED);
    }),
  );
});

test('what is put into a sentence is printable, the sentence keeps its lines', () => {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  say`a ${'\u001b[31m\n'} b\n`;
  expect(write).toHaveBeenCalledWith('a \\u001b[31m\\u000a b\n');
  write.mockRestore();
});

test('errors are said in words, never by a stack or a code of a library', () => {
  const missing = Object.assign(new Error("ENOENT: no such file or directory, open 'ca.pem'"), {
    code: 'ENOENT',
    errno: -2,
    path: 'ca.pem',
  });
  expect(explanationOf(missing).words).toBe('ca.pem: no such file or directory');
  expect(explanationOf(new CliError('why?', 'so')).next).toBe('so');
  const { words, next } = explanationOf(new TypeError('x is not a function'));
  expect(words).toContain('should not have happened');
  expect(`${words}${next}`).not.toContain('    at ');
  expect(explanationOf('text').words).toContain('text');
});

test('heads of tables are words, durations have units', () => {
  const table = formatRows(
    [{ clockOffsetMs: 3, silentMs: 65_000, createdAt: 0, invitedBy: 'a' }],
    ['clockOffsetMs', 'silentMs', 'createdAt', 'invitedBy'],
  );
  expect(table).toContain('CLOCK IS OFF BY');
  expect(table).toContain('CREATED  INVITED BY');
  expect(table).toMatch(/3 ms +65 s/);
});

test('a path counts from where the person is, also when npm runs the command', () => {
  expect(userPath('ca.pem', {})).toBe(`${process.cwd()}/ca.pem`);
  expect(userPath('ca.pem', { script: 'sallyport', place: '/home/ada' })).toBe('/home/ada/ca.pem');
  expect(userPath('ca.pem', { script: 'test', place: '/home/ada' })).toBe(`${process.cwd()}/ca.pem`);
  expect(userPath('/etc/ca.pem', { script: 'sallyport', place: '/home/ada' })).toBe('/etc/ca.pem');
});

test.each<[text: string, columns: number]>([
  ['', 0],
  ['ada', 3],
  ['Köln', 4],
  ['Ko\u0308ln', 4],
  ['端末', 4],
  ['ﾊﾛｰ', 3],
  ['한국', 4],
  ['ＡＢ', 4],
  ['a・b', 4],
  ['✔ done', 6],
  ['😀', 2],
])('%j takes %i columns', (text, columns) => {
  expect(widthOf(text)).toBe(columns);
});

test('columns of a table stand below each other, whatever script is in them', () => {
  const rows = [
    { name: 'ada', group: 'staff' },
    { name: '端末', group: 'board' },
    { name: 'Zoe\u0308', group: 'guests' },
  ];
  const lines = stripVTControlCharacters(formatRows(rows, ['name', 'group']))
    .trimEnd()
    .split('\n');
  const begins = lines.map((line) => widthOf(line.slice(0, line.search(/GROUP|staff|board|guests/))));
  expect(begins).toEqual([6, 6, 6, 6]);
});
