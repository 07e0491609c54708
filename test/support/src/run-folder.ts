import { chmodSync, mkdtempSync, rmSync } from 'node:fs';

/** Gives a run of tests a folder, in which `scratchFolder` makes those of its tests, and removes it with everything when the run ends. */
export function setup(): () => void {
  // Short: sockets lie in it, whose paths have some hundred bytes at the most.
  const folder = mkdtempSync('/tmp/sally-');
  chmodSync(folder, 0o755);
  process.env['TEST_FOLDER'] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
