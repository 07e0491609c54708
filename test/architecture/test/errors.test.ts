import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const document = readFileSync(`${root}/docs/errors.md`, 'utf8');
const documented = [...document.matchAll(/^\| `([A-Z][A-Z_]+)` \|/gm)].map(([, code]) => code!);

/** Codes of Node and of libraries that our sources look at. */
const OF_OTHERS = /^ERR_(TLS|JOSE|INVALID|STREAM|HTTP2|SSL)_/;

function sources(): string[] {
  return ['apps', 'libs'].flatMap((floor) =>
    readdirSync(`${root}/${floor}`).flatMap((project) => {
      const folder = `${root}/${floor}/${project}/src`;
      const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
      return files.filter((file) => file.endsWith('.ts')).map((file) => readFileSync(`${folder}/${file}`, 'utf8'));
    }),
  );
}

/** Names of a table of codes, or of a union of them, in a source. */
function namesIn(file: string, start: string): string[] {
  const text = readFileSync(`${root}/${file}`, 'utf8');
  const from = text.indexOf(start);
  expect(from, `${file}: ${start}`).toBeGreaterThan(0);
  const part = text.slice(from + start.length, text.indexOf(';', from));
  return [...part.matchAll(/'?\b([A-Z][A-Z_]+)\b'?(?=: \d|\n|'|$)/g)].map(([, name]) => name!);
}

test('docs/errors.md has every code that a program or a person can meet, and no other', () => {
  const ours = new Set(
    sources().flatMap((text) => [...text.matchAll(/\bERR_[A-Z]+_[A-Z0-9_]*[A-Z]/g)].map(([code]) => code)),
  );
  const onTheWire = [
    ...namesIn('libs/channel/src/codes.ts', 'HINT_CODES = '),
    ...namesIn('libs/channel/src/codes.ts', 'SIGNED_CODES = '),
    ...namesIn('libs/device/src/errors.ts', 'LocalCode ='),
  ];
  expect(onTheWire.length).toBeGreaterThan(45);
  const met = [...[...ours].filter((code) => !OF_OTHERS.test(code)), ...onTheWire];
  expect(documented.toSorted()).toEqual([...new Set(met)].sort());
});

test('every code is documented once, with what it means and what to do', () => {
  expect(new Set(documented).size).toBe(documented.length);
  for (const line of document.split('\n').filter((text) => text.startsWith('| `')))
    for (const cell of line.split('|').slice(2, -1)) expect(cell.trim(), line).not.toBe('');
});
