import { spawn } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { endOfProgram, ownerOf } from '../src/security-host.ts';

test.skipIf(process.getuid?.() !== 0)(
  'as root a command works as the user whom the folder of Security belongs to',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
    expect(ownerOf(folder)).toEqual({ uid: 0, gid: 0 });
    chownSync(folder, 4_711, 815);
    expect(ownerOf(folder)).toEqual({ uid: 4_711, gid: 815 });
    rmSync(folder, { recursive: true });
    expect(ownerOf(folder)).toEqual({});
  },
);

/** A program that `sallyport` runs, and that no signal but SIGKILL ends. */
async function startDeaf(body: string) {
  const code = `for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.send('heard'));
    setInterval(() => {}, 1000); process.send('up'); ${body}`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const gone = new Promise((done) => child.once('exit', (_status, signal) => done(signal)));
  await new Promise((up) => child.once('message', up));
  return { child, gone };
}

/** A signal, for whoever listened last: other files of this process may have left somebody who ends it. */
function heardLast(signal: NodeJS.Signals): void {
  process.listeners(signal).at(-1)!(signal);
}

test('a program that has said how it ends, and hangs, is left', async () => {
  const { child, gone } = await startDeaf('setTimeout(() => process.send({ ended: 1 }), 100)');
  expect(await endOfProgram(child)).toBe(1);
  expect(await gone).toBe('SIGKILL');
});

test('who ends a command twice, and was told that it has not ended, waits no longer', async () => {
  const { child, gone } = await startDeaf('');
  const ended = endOfProgram(child);
  const heard = new Promise((done) => child.on('message', (word) => word === 'heard' && done(word)));
  const told: string[] = [];
  const write = process.stderr.write;
  process.stderr.write = ((text: string) => told.push(text) > 0) as typeof write;
  try {
    heardLast('SIGTERM');
    await heard;
    await expect.poll(() => told.join('')).toContain(`process ${child.pid} has not ended yet`);
  } finally {
    process.stderr.write = write;
  }
  expect(child.signalCode).toBeNull();
  heardLast('SIGTERM');
  expect(await ended).toBe('SIGTERM');
  expect(await gone).toBe('SIGKILL');
});
