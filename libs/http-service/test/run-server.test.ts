import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SERVER = fileURLToPath(new URL('living-server.ts', import.meta.url));
const RELEASED = 'second part released\nfirst part released\n';

interface Living {
  readonly child: ChildProcess;
  /** What it has said so far. */
  readonly said: { out: string; err: string };
  /** Waits until its output has a text. */
  until(text: string): Promise<void>;
  /** Its exit status. */
  readonly ended: Promise<number | null>;
}

/** Starts the sample server, with a parent that listens or as from a terminal. */
function live(does: string | undefined, { ipc = false } = {}): Living {
  const { PATH } = process.env;
  const env = does === undefined ? { PATH } : { PATH, SALLYPORT_DOES: does };
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])];
  const child: ChildProcess = spawn(process.execPath, [SERVER], { env, stdio });
  const said = { out: '', err: '' };
  child.stdout!.on('data', (data) => {
    said.out += String(data);
  });
  child.stderr!.on('data', (data) => {
    said.err += String(data);
  });
  // A parent that let go of the channel hears no `close` of the child.
  const heard = [once(child, 'exit'), once(child.stdout!, 'end'), once(child.stderr!, 'end')];
  const ended = Promise.all(heard).then(([exit]) => exit![0] as number | null);
  const until = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (said.out.includes(text)) resolve();
      };
      child.stdout!.on('data', look);
      look();
    });
  return { child, said, until, ended };
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} ends a server in order, once, and what must be let go of last`, async () => {
    const { child, said, until, ended } = live('serve');
    await until('it is up');
    child.kill(signal);
    await until('stopped');
    child.kill(signal);
    expect(await ended).toBe(0);
    expect(said.out).toBe(`it is up\nstopped\n${RELEASED}`);
  });

test('tells its parent that it is ready, and ends in order when that is gone', async () => {
  const { child, said, ended } = live('serve', { ipc: true });
  const message = await new Promise((resolve) => child.once('message', resolve));
  expect(message).toEqual({ type: 'ready', url: 'https://here' });
  child.disconnect();
  expect(await ended).toBe(0);
  expect(said.out).toBe(`stopped\n${RELEASED}`);
});

test('a server that cannot start says why, and keeps nothing', async () => {
  const { said, ended } = live('fail');
  expect(await ended).toBe(1);
  expect(said.err).toBe('the sample could not start: no room\n  because: the disk is full\n');
  expect(said.out).toBe(RELEASED);
});

test('a server that serves already and cannot say so ends in order', async () => {
  const { said, ended } = live('say nothing');
  expect(await ended).toBe(1);
  expect(said.err).toContain('the sample could not start: nobody heard\n');
  expect(said.out).toBe(`stopped\n${RELEASED}`);
});

test('a server with wrong settings names them', async () => {
  const { said, ended } = live(undefined);
  expect(await ended).toBe(1);
  expect(said.err).toMatch(/^the sample could not start: settings are wrong:\n {2}SALLYPORT_DOES is missing/);
});

test('a signal breaks a start off, and nothing stays behind', async () => {
  const { child, said, until, ended } = live('take long');
  await until('starting');
  child.kill('SIGTERM');
  expect(await ended).toBe(1);
  expect(said.out).toBe(`starting\n${RELEASED}`);
});

test('a fault that nobody caught leaves a line, and ends the server in order with status 1', async () => {
  const { said, ended } = live('fault');
  expect(await ended).toBe(1);
  expect(said.out).toBe(`it is up\nstopped\n${RELEASED}`);
  expect(JSON.parse(said.err)).toMatchObject({ level: 60, name: 'sample', origin: 'uncaughtException' });
});

test('a server that ends itself does so in order, with status 1', async () => {
  const { said, ended } = live('end');
  expect(await ended).toBe(1);
  expect(said.out).toBe(`it is up\nends itself: true, again: false\nstopped\n${RELEASED}`);
});

test('what fails while a server ends keeps nothing else from ending', async () => {
  const { child, said, until, ended } = live('break');
  await until('it is up');
  child.kill('SIGTERM');
  expect(await ended).toBe(1);
  expect(said.out).toBe(`it is up\n${RELEASED}`);
  expect(said.err).toContain('it does not close');
});

test('a server whose end waits for what never comes ends nevertheless, says so, and lets go of everything', async () => {
  const { child, said, until, ended } = live('hang');
  await until('it is up');
  child.kill('SIGTERM');
  expect(await ended).toBe(1);
  expect(said.out).toBe(`it is up\n${RELEASED}`);
  expect(said.err).toContain('the server could not end in order');
  expect(said.err).toContain('it took longer than 1 s; open: ');
});

test('its last lines are written', async () => {
  const { child, said, until, ended } = live('talk');
  await until('it is up');
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  // One that is being written at that moment may come behind the others.
  expect(said.err.match(/"line":\d/g)?.sort()).toEqual(['"line":1', '"line":2', '"line":3']);
});

test('a server ends when nobody reads its last lines any more', async () => {
  const { child, until } = live('talk');
  await until('it is up');
  child.stderr!.destroy();
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});

test('a server ends when whoever reads its lines stands still', async () => {
  const { child, until } = live('shout');
  await until('it is up');
  // Paused, and what the system holds for it is soon full.
  child.stderr!.removeAllListeners('data').pause();
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});
