import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/src/longest-first.ts';
import { SilentFiles } from './test/support/src/silent-files.ts';
import { SlowestTests } from './test/support/src/slowest-tests.ts';
import { LeftOut, turnOfRun } from './test/support/src/turns.ts';

/** Limits say that something hangs, never how quick it must be: a machine may be slow, or have other things to do. */
const HANGS_MS = 240_000;
const SEEN_WITHIN_MS = 90_000;

/** Which report to write, `test-results/<name>.json`; unset: none. `.ci/run` counts them. */
const report = process.env['TEST_REPORT'];

// Our servers and commands start hundreds of times: what Node has compiled of them once is kept.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

/** What takes long takes turns in the short form, which `npm test` is. */
const turn = turnOfRun(process.env);

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.tsbuild/**', '**/dist/**', ...turn.left],
    globalSetup: ['deploy/packing/src/programs/before-tests.ts', 'test/support/src/run-folder.ts'],
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
      new LeftOut(turn),
      ...(report ? [['json', { outputFile: `test-results/${report}.json` }] as const] : []),
    ],
  },
});
