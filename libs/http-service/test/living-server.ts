import { text } from '@sallyport/settings';
import { type RunningServer, runServer, type Starting } from '../src/index.ts';

/** A server that does one thing in its life, for run-server.test.ts: what it goes through stands in its output. */
const SETTINGS = { SALLYPORT_DOES: text('what it does') };

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function start({ config, log, release, end }: Starting<typeof SETTINGS>): Promise<RunningServer> {
  const does = config.SALLYPORT_DOES;
  release(async () => say('first part released'));
  release(async () => say('second part released'));
  if (does === 'fail') throw new Error('no room', { cause: new Error('the disk is full') });
  // Something to live for.
  const timer = setInterval(() => undefined, 1_000);
  if (does === 'take long') {
    say('starting');
    await new Promise(() => undefined);
  }
  return {
    // The limit is this and what every server has.
    drainMs: does === 'hang' ? -19_500 : 0,
    async stop() {
      clearInterval(timer);
      if (does === 'break') throw new Error('it does not close');
      if (does === 'hang') await new Promise(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 10));
      say('stopped');
      for (let line = 1; does === 'shout' && line <= 5_000; line++) log.info({ line, text: 'x'.repeat(100) }, 'ends');
      for (let line = 1; does === 'talk' && line <= 3; line++) log.info({ line }, 'ends');
    },
    ready() {
      if (does === 'say nothing') throw new Error('nobody heard');
      if (does === 'fault') setImmediate(() => JSON.parse('nothing'));
      if (does === 'end') setImmediate(() => say(`ends itself: ${end()}, again: ${end()}`));
      return { message: { url: 'https://here' }, words: () => 'it is up\n' };
    },
  };
}

await runServer({ name: 'sample', title: 'the sample', settings: SETTINGS, start });
