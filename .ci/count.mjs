// Adds up vitest's JSON reports: `node .ci/count.mjs <status of npm test> <folder> <report>…`. Ends with that status, or with 1
// when it was 0 and a report is missing or counts something that failed.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [status, folder, ...names] = process.argv.slice(2);
const counts = names.map((name) => countOf(join(folder, `${name}.json`)));
const sum = (what) => counts.reduce((all, count) => all + count[what], 0);
// What stops before it counts (a check, a setup, a crash) failed as well.
const failed = Math.max(sum('failed'), Number(status) === 0 ? 0 : 1);
process.stdout.write(`${sum('passed')} passed, ${failed} failed\n`);
process.exitCode = Number(status) || (failed === 0 ? 0 : 1);

function countOf(file) {
  if (!existsSync(file)) {
    process.stdout.write(`${file} is missing: the tests that write it have not ended\n`);
    return { passed: 0, failed: 1 };
  }
  const { numPassedTests, numFailedTests, testResults, success } = JSON.parse(readFileSync(file, 'utf8'));
  // A file that fails before its first test counts as one that failed.
  const broken = testResults.filter(
    (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = numFailedTests + broken;
  return { passed: numPassedTests, failed: success ? failed : Math.max(failed, 1) };
}
