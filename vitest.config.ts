import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/src/longest-first.ts';
import { SilentFiles } from './test/support/src/silent-files.ts';
import { SlowestTests } from './test/support/src/slowest-tests.ts';

/** Limits say that something hangs, never how quick it must be: a machine may be slow, or have other things to do. */
const HANGS_MS = 240_000;
const SEEN_WITHIN_MS = 90_000;

/** Which report to write, `test-results/<name>.json`; unset: none. `.ci/run` counts them. */
const report = process.env['TEST_REPORT'];

// Our servers and commands start hundreds of times: what Node has compiled of them once is kept.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

// What is drawn in a run, such as the scenarios of the fault rig: all its workers draw the same.
process.env['TEST_SEED'] ??= String(Math.floor(Math.random() * 2 ** 31));

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.tsbuild/**', '**/dist/**'],
    globalSetup: ['deploy/packing/src/programs/before-tests.ts'],
    isolate: false,
    // Most of what takes long waits for servers: three files at a time even where there are two cores.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    testTimeout: HANGS_MS,
    hookTimeout: HANGS_MS,
    expect: { poll: { timeout: SEEN_WITHIN_MS, interval: 20 } },
    reporters: [
      'default',
      new SilentFiles(),
      new SlowestTests(),
      ...(report ? [['json', { outputFile: `test-results/${report}.json` }] as const] : []),
    ],
  },
});
