import { fileURLToPath } from 'node:url';
import { runCommand } from '@sallyport/support';
import { expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stdout.write('the drill needs root to make network namespaces, so it is skipped: sudo npm test\n');

test.skipIf(!isRoot)('a site burns down, and its devices are served again after one sign-in each', async () => {
  const { code, stdout, stderr } = await runCommand(process.execPath, [MAIN, '--short']);
  process.stdout.write(stdout);
  expect(code, stdout + stderr).toBe(0);
});
