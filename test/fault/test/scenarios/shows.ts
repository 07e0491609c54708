import { fileURLToPath } from 'node:url';
import { isShortForm, runCommand } from '@sallyport/support';
import { expect, test } from 'vitest';
import { SCENARIOS } from '../../src/scenarios/index.ts';
import { turnOf } from '../../src/turns.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** Each costs two minutes of a processor. */
const IN_A_SHORT_RUN = 4;
const MAX_MS = 600_000;
const isRoot = process.getuid?.() === 0;

const tested = Object.keys(SCENARIOS).filter((name) => !SCENARIOS[name]!.onlyByHand);
const count = isShortForm() ? IN_A_SHORT_RUN : undefined;
const turn = turnOf(tested, { count, seed: Number(process.env['TEST_SEED']) });

/**
 * The test of one scenario: its short run, as a person would type it. Each in a file of its own, so that they run beside each other.
 * `npm test` shows some of them, which each run draws anew.
 */
export function shows(name: string): void {
  const { about } = SCENARIOS[name]!;
  if (!isRoot)
    process.stdout.write(
      `${name}: the fault rig needs root to make network namespaces, so it is skipped: sudo npm test\n`,
    );
  const inTurn = turn.names.has(name);
  if (!inTurn) process.stdout.write(`${name} is skipped: ${turn.words}\n`);
  test.skipIf(!isRoot || !inTurn)(`${name}: ${about}`, { timeout: MAX_MS }, async () => {
    const { code, stdout, stderr } = await runCommand(process.execPath, [MAIN, name, '--short']);
    process.stdout.write(stderr + stdout);
    expect(code, stderr + stdout).toBe(0);
  });
}
