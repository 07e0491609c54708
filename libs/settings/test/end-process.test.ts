import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
const pipe = join(folder, 'pipe');
execFileSync('mkfifo', [pipe]);
afterAll(() => rmSync(folder, { recursive: true }));

/** As at a share whose server is gone: nobody ever writes to the pipe. */
const HANG = `void (await import('node:fs/promises')).open(${JSON.stringify(pipe)}, 'r');`;

/** How a program ends that runs this, as its exit status or the signal. */
function endOf(body: string): Promise<number | NodeJS.Signals | null> {
  const source = fileURLToPath(new URL('../src/index.ts', import.meta.url));
  const code = `const { endProcess, undoAtSignals } = await import(${JSON.stringify(source)}); ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return new Promise((done) => child.once('exit', (status, signal) => done(signal ?? status)));
}

test('a process ends with its exit status', async () => {
  expect(await endOf(`setInterval(() => {}, 1000); process.exitCode = 3; await endProcess();`)).toBe(3);
});

test('a process of which a system call hangs ends all the same', async () => {
  expect(await endOf(`${HANG} process.exitCode = 3; await endProcess();`)).toBe('SIGTERM');
});

test('what is under way and comes to its end is waited for', async () => {
  const write = `void (await import('node:fs/promises')).writeFile(${JSON.stringify(join(folder, 'file'))}, 'x');`;
  expect(await endOf(`${write} await endProcess();`)).toBe(0);
});

test('a signal ends a process of which a system call hangs, once it has undone what it began', async () => {
  const undo = `undoAtSignals(async () => { await new Promise((done) => setTimeout(done, 100)); });`;
  expect(await endOf(`${HANG} ${undo} process.kill(process.pid, 'SIGINT'); setInterval(() => {}, 1000);`)).toBe(
    'SIGINT',
  );
});
