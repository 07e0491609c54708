import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { afterAll, expect, test, vi } from 'vitest';
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

/** What each of them throws while the limit of silence passes once; of all timers only the time is played. */
async function failuresWhileSilent(works: readonly (() => Promise<unknown>)[]): Promise<readonly unknown[]> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const failures: unknown[] = works.map(() => undefined);
    for (const [at, work] of works.entries())
      work().catch((error: unknown) => {
        failures[at] = error;
      });
    await vi.advanceTimersByTimeAsync(place.silenceMs);
    return failures;
  } finally {
    vi.useRealTimers();
  }
}

test('a server that was stopped is waited for once, and not once more to let go or to tidy up', async () => {
  const own = join(place.folder, 'stopped');
  mkdirSync(own);
  const open = () => openSftpTarget({ ...place, folder: own });
  const [target, reader, writer] = await Promise.all([open(), open(), open()]);
  await target.put('main/a/x', text('x'.repeat(2_000_000)));
  const pieces = reader.get('main/a/x')[Symbol.asyncIterator]();
  await pieces.next();
  const pausing = new Pausing();
  const writing = writer.put('main/a/w', pausing.content('one', 'two'));
  await pausing.begun;
  const processes = [running.child.pid!, ...below(running.child.pid!)];
  for (const one of processes) process.kill(one, 'SIGSTOP');
  try {
    const works = [
      () => target.put('main/a/y', text('y')),
      async () => {
        while (!(await pieces.next()).done);
      },
      () => {
        pausing.goOn();
        return writing;
      },
    ];
    const late = expect.objectContaining({ code: 'ERR_TARGET_SLOW' });
    expect(await failuresWhileSilent(works)).toEqual([late, late, late]);
  } finally {
    for (const one of processes) process.kill(one, 'SIGCONT');
  }
  await target.put('main/a/z', text('z'));
  expect((await target.list('')).map(({ path }) => path)).toContain('main/a/z');
  await Promise.all([target, reader, writer].map((one) => one.close()));
});

test('a connection that ends ends what is written on it, and nothing of that gets into what is written on the next one', async () => {
  const own = join(place.folder, 'broken');
  mkdirSync(own);
  const target = await openSftpTarget({ ...place, folder: own });
  const [first, second] = [new Pausing(), new Pausing()];
  const broken = target.put('main/a/broken', first.content('one', 'two'));
  broken.catch(() => undefined);
  await first.begun;
  for (const one of below(running.child.pid!)) process.kill(one, 'SIGKILL');
  const isBack = () =>
    target.list('').then(
      () => true,
      () => false,
    );
  await expect.poll(isBack).toBe(true);
  const whole = target.put('main/a/whole', second.content('eins', 'zwei'));
  await second.begun;
  first.goOn();
  await expect(broken).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
  second.goOn();
  await whole;
  const read: Uint8Array[] = [];
  for await (const bytes of target.get('main/a/whole')) read.push(bytes);
  expect(Buffer.concat(read).toString()).toBe('einszwei');
  await target.close();
});

/** Content that waits in its middle. */
class Pausing {
  readonly #begun = Promise.withResolvers<void>();
  readonly #goOn = Promise.withResolvers<void>();

  /** Resolves when its first piece was taken. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  goOn(): void {
    this.#goOn.resolve();
  }

  async *content(first: string, second: string): AsyncIterable<Uint8Array> {
    yield Buffer.from(first);
    this.#begun.resolve();
    await this.#goOn.promise;
    yield Buffer.from(second);
  }
}
