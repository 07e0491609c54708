import { chmodSync, mkdtempSync } from 'node:fs';

/** A new folder for a test that other users may pass through: as root the database runs as a user of its own. */
export function scratchFolder(): string {
  const folder = mkdtempSync('/tmp/sallyport-test-');
  chmodSync(folder, 0o755);
  return folder;
}
