import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const SOURCE = new URL('../src/node-environment.ts', import.meta.url).href;
const SAY = `const { nodeEnvironment } = await import('${SOURCE}'); console.log(JSON.stringify(nodeEnvironment()));`;

function saidWith(environment: NodeJS.ProcessEnv): unknown {
  const env = { PATH: process.env['PATH'], ...environment };
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', SAY], { env, encoding: 'utf8' }));
}

test('what Node was given is handed on, and nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  expect(saidWith({ NODE_OPTIONS: '--no-warnings', NODE_COMPILE_CACHE: folder })).toEqual({
    NODE_OPTIONS: '--no-warnings',
    NODE_COMPILE_CACHE: folder,
  });
  expect(saidWith({})).toEqual({});
});
