import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { openSftpTarget } from '../src/index.ts';
import { startSshd } from './sshd.ts';
import { targetContract } from './target.contract.ts';

const folder = scratchFolder();
const { place, running } = await startSshd(folder);
afterAll(async () => {
  running.child.kill('SIGCONT');
  await running.end();
  rmSync(folder, { recursive: true, force: true });
});

async function* text(content: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(content);
}

/** The processes below one. */
function below(pid: number): number[] {
  const found = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' }).stdout;
  return found
    .split(/\s+/)
    .filter(Boolean)
    .map(Number)
    .filter((one) => one !== pid)
    .flatMap((one) => [one, ...below(one)]);
}

let places = 0;
targetContract('SFTP', async () => {
  places += 1;
  const own = join(place.folder, String(places));
  mkdirSync(own);
  return () => openSftpTarget({ ...place, folder: own });
});

test('a host key that is not known is refused, and named', async () => {
  const other = { ...place, hostKeys: [`SHA256:${'A'.repeat(43)}`] };
  await expect(openSftpTarget(other)).rejects.toMatchObject({
    code: 'ERR_TARGET_DENIED',
    message: expect.stringContaining(place.hostKeys[0]!),
  });
});

test('a server that does not take our key says so', async () => {
  const other = readFileSync(join(folder, 'host'), 'utf8');
  await expect(openSftpTarget({ ...place, privateKey: other })).rejects.toMatchObject({ code: 'ERR_TARGET_DENIED' });
});

test('a folder that is not there is named, and never made', async () => {
  const away = { ...place, folder: join(place.folder, 'away') };
  await expect(openSftpTarget(away)).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
});

test('a port on which nobody answers is named', async () => {
  await expect(openSftpTarget({ ...place, port: 1 })).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
});

test('a server that was stopped is not waited for', async () => {
  const own = join(place.folder, 'stopped');
  mkdirSync(own);
  const target = await openSftpTarget({ ...place, folder: own, silenceMs: 1_000 });
  await target.put('main/a/x', text('x'));
  const processes = [running.child.pid!, ...below(running.child.pid!)];
  for (const one of processes) process.kill(one, 'SIGSTOP');
  try {
    await expect(target.put('main/a/y', text('y'))).rejects.toMatchObject({ code: 'ERR_TARGET_SLOW' });
  } finally {
    for (const one of processes) process.kill(one, 'SIGCONT');
  }
  await target.put('main/a/z', text('z'));
  expect((await target.list('')).map(({ path }) => path)).toContain('main/a/z');
  await target.close();
});
