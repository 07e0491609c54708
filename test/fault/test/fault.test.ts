import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { SCENARIOS } from '../src/scenarios/index.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const MAX_MS = 400_000;

/** Runs a scenario as a person would; gives its exit code and everything it said. */
function runScenario(name: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, name, '--short'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
    child.once('exit', (code) => resolve({ code, output }));
  });
}

const isRoot = process.getuid?.() === 0;
if (!isRoot)
  process.stdout.write(
    'the fault rig needs root to make network namespaces, so its tests are skipped: sudo npm test\n',
  );

for (const [name, { about }] of Object.entries(SCENARIOS)) {
  test.skipIf(!isRoot)(`${name}: ${about}`, { timeout: MAX_MS }, async () => {
    const { code, output } = await runScenario(name);
    process.stdout.write(output);
    expect(code, output).toBe(0);
  });
}
