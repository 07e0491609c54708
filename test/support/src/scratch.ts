import { chmodSync, mkdtempSync } from 'node:fs';

/**
 * A new folder for a test that other users may pass through: as root the database runs as a user of its own. It goes with the run of tests,
 * if there is one.
 */
export function scratchFolder(): string {
  const run = process.env['TEST_FOLDER'];
  const folder = mkdtempSync(run === undefined ? '/tmp/sallyport-test-' : `${run}/`);
  chmodSync(folder, 0o755);
  return folder;
}
