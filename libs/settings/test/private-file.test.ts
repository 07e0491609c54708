import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readJsonFile, replacePrivateFile } from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'private-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a private file is replaced as a whole, for its owner only, in a folder that is made', () => {
  const file = join(folder, 'deep', 'secret.json');
  replacePrivateFile(file, 'one');
  replacePrivateFile(file, 'two');
  expect(readFileSync(file, 'utf8')).toBe('two');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'deep')).mode & 0o777).toBe(0o700);
});

test('of a file of JSON that was cut or changed its name is told, and nothing of what it holds', () => {
  const file = join(folder, 'keys.json');
  const secret = 'canary-canary-canary';
  writeFileSync(file, JSON.stringify({ secret }));
  expect(readJsonFile(file)).toEqual({ secret });
  const whole = JSON.stringify({ secret });
  for (const text of [whole.slice(0, -4), whole.replace(`"${secret}`, secret), `# ${secret}`, `${whole}${secret}`]) {
    writeFileSync(file, text);
    const told = fault(() => readJsonFile(file));
    expect(String(told.stack)).toContain(file);
    expect(`${told.stack}${told.cause}`, text).not.toContain('canary');
  }
});

function fault(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was taken');
}
