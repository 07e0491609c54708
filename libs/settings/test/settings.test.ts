import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { integer, list, listenAddress, optionalSecret, readSettings, Secret, text } from '../src/index.ts';

const SETTINGS = {
  NAME: text('a name'),
  COUNT: integer('a count', { min: 1, max: 9, fallback: 3 }),
  LISTEN: listenAddress('where to listen', { host: '127.0.0.1', port: 0 }),
  NAMES: list('names', []),
  TOKEN: optionalSecret('a token'),
};

test('reads values, and falls back where none is given', () => {
  const settings = readSettings(SETTINGS, { NAME: 'x', LISTEN: '[::1]:8080', NAMES: 'a, b', TOKEN: 't' });
  expect(settings).toMatchObject({ NAME: 'x', COUNT: 3, LISTEN: { host: '::1', port: 8080 }, NAMES: ['a', 'b'] });
  expect(settings.TOKEN?.reveal()).toBe('t');
});

test('names every wrong setting at once and never its value', () => {
  const read = () => readSettings(SETTINGS, { COUNT: '77-secret', LISTEN: 'nowhere' });
  expect(read).toThrow(
    /NAME is missing[\s\S]*COUNT: expected a whole number from 1 to 9[\s\S]*LISTEN: expected host:port/,
  );
  expect(read).not.toThrow(/77-secret/);
});

test('a secret may stand in a file, whose last line end is not part of it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'settings-'));
  const file = join(folder, 'token');
  writeFileSync(file, ' from a file \n');
  const read = (environment: Record<string, string>) => readSettings(SETTINGS, { NAME: 'x', ...environment }).TOKEN;
  expect(read({ TOKEN_FILE: file })?.reveal()).toBe(' from a file ');
  expect(() => read({ TOKEN_FILE: file, TOKEN: 'canary' })).toThrow(/TOKEN: it is given by TOKEN and by TOKEN_FILE/);
  expect(() => read({ TOKEN_FILE: join(folder, 'none') })).toThrow(/TOKEN: TOKEN_FILE cannot be read: ENOENT/);
  writeFileSync(file, '\n');
  expect(read({ TOKEN_FILE: file })).toBeUndefined();
  // Only secrets.
  expect(() => readSettings(SETTINGS, { NAME_FILE: file })).toThrow(/NAME is missing/);
  rmSync(folder, { recursive: true });
});

test('a secret never prints itself', () => {
  const secret = new Secret('canary');
  expect([String(secret), JSON.stringify({ secret }), inspect({ secret }), `${secret}`].join()).not.toContain('canary');
});
