import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../src/source.ts';
import { SUPPORT_FILE, supportDocument } from '../src/support/files.ts';
import { MATRIX } from '../src/support/matrix.ts';

test('the page of what is supported is the matrix (npm run support writes it)', () => {
  expect(readFileSync(join(ROOT, SUPPORT_FILE), 'utf8')).toBe(supportDocument());
});

test('each line names a test that exists, or says that there is none', () => {
  for (const { what, shown } of MATRIX) {
    if (typeof shown === 'string') continue;
    const file = join(ROOT, shown.file);
    expect(existsSync(file), `${what}: ${shown.file}`).toBe(true);
    expect(shown.test.length, what).toBeGreaterThan(10);
    expect(readFileSync(file, 'utf8'), what).toContain(shown.test);
  }
  expect(new Set(MATRIX.map(({ what }) => what)).size).toBe(MATRIX.length);
});

test('tests run on the Node that the project pins', () => {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(process.version).toBe(`v${devDependencies.node}`);
});
