import { defineConfig } from 'vitest/config';

/** Which report to write, `test-results/<name>.json`; unset: none. `.ci/run` counts them. */
const report = process.env['TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.tsbuild/**', '**/dist/**'],
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', ...(report ? [['json', { outputFile: `test-results/${report}.json` }] as const] : [])],
  },
});
