import { fileURLToPath } from 'node:url';
import { runCommand } from '@sallyport/support';
import { expect, test } from 'vitest';
import { SCENARIOS } from '../../src/scenarios/index.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const MAX_MS = 600_000;
const isRoot = process.getuid?.() === 0;

/** The test of one scenario: its short run, as a person would type it. Each in a file of its own, so that they run beside each other. */
export function shows(name: string): void {
  const { about } = SCENARIOS[name]!;
  if (!isRoot)
    process.stdout.write(
      `${name}: the fault rig needs root to make network namespaces, so it is skipped: sudo npm test\n`,
    );
  test.skipIf(!isRoot)(`${name}: ${about}`, { timeout: MAX_MS }, async () => {
    const { code, stdout, stderr } = await runCommand(process.execPath, [MAIN, name, '--short']);
    process.stdout.write(stderr + stdout);
    expect(code, stderr + stdout).toBe(0);
  });
}
