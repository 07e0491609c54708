import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import { runCommand } from '../src/run-command.ts';
import { scratchFolder } from '../src/scratch.ts';

const backend = await startBackend();
const gateway = await Gateway.start();
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
const folder = scratchFolder();
afterAll(async () => {
  await gateway.stop();
  await backend.close();
  rmSync(folder, { recursive: true, force: true });
});

const PROCESS = fileURLToPath(new URL('../src/device-process.ts', import.meta.url));

/** Runs steps of a device in a process of its own; gives their outcomes. */
async function inProcess(crypto: string, file: string, ...args: readonly string[]): Promise<object[]> {
  const run = await runCommand('node', [PROCESS, '--crypto', crypto, '--file', file, ...args]);
  if (run.code !== 0) throw new Error(run.stderr);
  return run.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
}

test.each(['node', 'sodium', 'noble'])('what one process enrolled, the next one signs in with: %s', async (crypto) => {
  const file = join(folder, `${crypto}.json`);
  const link = await gateway.link('ada');
  expect(await inProcess(crypto, file, '--link', link, 'enroll=wrong')).toEqual([{ enroll: 'CREDENTIALS_INVALID' }]);
  // The second try, in a process of its own, uses the keys that the first one has stored.
  expect(await inProcess(crypto, file, '--link', link, `enroll=${PASSWORD}`)).toEqual([{ enroll: 'ok' }]);
  const signedIn = [{ login: 'ok' }, { fetch: 200 }];
  expect(await inProcess(crypto, file, `login=${PASSWORD}`, 'fetch=http://wiki.corp/echo')).toEqual(signedIn);
  expect(await inProcess(crypto, file, 'resume', 'fetch=http://wiki.corp/echo')).toEqual([
    { resume: 'ok' },
    { fetch: 200 },
  ]);
});

test('a device whose file was written with {"type":"Buffer"} signs in again, and its file is healed', async () => {
  const file = join(folder, 'sodium.json');
  const record = JSON.parse(readFileSync(file, 'utf8'));
  for (const field of ['deviceSecret', 'ticket'])
    record[field] = Buffer.from(record[field].$bytes, 'base64url').toJSON();
  record.keys.current = Buffer.from(record.keys.current.$bytes, 'base64url').toJSON();
  writeFileSync(file, JSON.stringify(record));
  expect(await inProcess('sodium', file, `login=${PASSWORD}`)).toEqual([{ login: 'ok' }]);
  expect(readFileSync(file, 'utf8')).not.toContain('"Buffer"');
});
