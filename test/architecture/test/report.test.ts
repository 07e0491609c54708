import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const COUNT = fileURLToPath(new URL('../../../.ci/count.mjs', import.meta.url));
const good = { numPassedTests: 7, numFailedTests: 0, success: true, testResults: [] };
const bad = { ...good, numFailedTests: 2, success: false };
const broken = { ...good, success: false, testResults: [{ status: 'failed', assertionResults: [] }] };

/** The last line and the exit code, for what `npm test` ended with and what it wrote. */
function count(status: number, reports: Readonly<Record<string, unknown>>): Promise<[string, number]> {
  const folder = mkdtempSync(join(tmpdir(), 'reports-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, report] of Object.entries(reports))
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(report));
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [COUNT, String(status), folder, 'tests', 'fault'], (_, out) =>
      resolve([out.trim().split('\n').pop()!, child.exitCode!]),
    );
  });
}

test('the run of all tests is counted from its reports, and a missing one fails it', async () => {
  expect(
    await Promise.all([
      count(0, { tests: good, fault: good }),
      count(1, { tests: bad, fault: good }),
      count(1, { tests: broken, fault: good }),
      count(1, { tests: bad }),
      count(0, { tests: good }),
      count(2, {}),
    ]),
  ).toEqual([
    ['14 passed, 0 failed', 0],
    ['14 passed, 2 failed', 1],
    ['14 passed, 1 failed', 1],
    ['7 passed, 3 failed', 1],
    ['7 passed, 1 failed', 1],
    ['0 passed, 2 failed', 2],
  ]);
});
