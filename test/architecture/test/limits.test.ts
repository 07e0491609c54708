import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** Those of `vitest.config.ts` and of pages: what is below them says how quick a machine must be. */
const TEST_MS = 240_000;
const SEEN_MS = 90_000;

const LIMITS = [
  { of: 'a test', pattern: /^\}, ([\d_]+)\);$/gm, least: TEST_MS },
  { of: 'a test', pattern: /^ {2}(\d[\d_]{3,}),\n\);/gm, least: TEST_MS },
  { of: 'a poll', pattern: /expect\s*\.poll\([^;]*?\btimeout: ([\d_]+)/g, least: SEEN_MS },
  { of: 'vi.waitFor', pattern: /vi\.waitFor\((?![^;]*?(?:, \d[\d_]+\)|timeout: |\}, \d))()/g, least: SEEN_MS },
  { of: 'vi.waitFor', pattern: /vi\.waitFor\([^;]*?(?:, |timeout: )(\d[\d_]{3,})/g, least: SEEN_MS },
  { of: 'a limit with a name', pattern: /^const \w+ = \{ timeout: ([\d_]+)/gm, least: SEEN_MS },
  { of: 'a page', pattern: /\.waitFor\(\{[^}]*\btimeout: ([\d_]+)/g, least: SEEN_MS },
];

/** Limits in a text that a busy machine would not keep. */
function tightLimits(text: string): string[] {
  return LIMITS.flatMap(({ of, pattern, least }) =>
    [...text.matchAll(pattern)]
      .map(([, ms]) => Number(ms!.replaceAll('_', '')))
      .filter((ms) => ms < least)
      .map((ms) => `${of}: ${ms === 0 ? 'the default of one second' : `${ms} ms`}`),
  );
}

test('no test waits shorter than a busy machine may take', () => {
  const listed = execFileSync('git', ['ls-files', '*.test.ts', '*.contract.ts'], { cwd: root, encoding: 'utf8' });
  const files = listed
    .trim()
    .split('\n')
    .filter((file) => !file.startsWith('test/architecture/'));
  expect(files.length).toBeGreaterThan(150);
  const found = files.flatMap((file) =>
    tightLimits(readFileSync(`${root}/${file}`, 'utf8')).map((limit) => `${file}: ${limit}`),
  );
  expect(found).toEqual([]);
});

test('a tight limit is found', () => {
  const text = [
    'const WAIT = { timeout: 1_000, interval: 5 };',
    "test('x', () => {",
    '  await expect.poll(x, { timeout: 1_000 }).toBe(1);',
    '  await vi.waitFor(() => x(1));',
    '  await vi.waitFor(() => x(1), 2_000);',
    "  await x.waitFor({ state: 'hidden', timeout: 3_000 });",
    '}, 4_000);',
    "test('y', () => undefined,",
    '  5_000,',
    ');',
  ].join('\n');
  expect(tightLimits(text)).toHaveLength(7);
  expect(tightLimits("test('x', () => {\n  await expect.poll(x).toBe(1);\n});")).toEqual([]);
});
