import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MODULE = fileURLToPath(new URL('../src/undo-at-signals.ts', import.meta.url));

interface Program {
  readonly child: ChildProcess;
  said(words: string): Promise<void>;
  /** How it ended, and all that it said. */
  readonly ended: Promise<{ readonly signal: NodeJS.Signals | null; readonly text: string }>;
}

/** A program that waits for ever, and says what it does. */
function start(body: string): Program {
  const code = `const { undoAtSignals, makeUntilSignals, finishAtSignal } = await import(${JSON.stringify(MODULE)});
    const say = (words) => process.stdout.write(words + ' ');
    ${body}
    setInterval(() => {}, 1000);
    say('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  const hearing = new Set<() => void>();
  child.stdout.on('data', (data) => {
    text += String(data);
    for (const hear of hearing) hear();
  });
  return {
    child,
    said: (words) =>
      new Promise((done) => {
        const hear = (): void => {
          if (text.includes(words)) done();
        };
        hearing.add(hear);
        hear();
      }),
    ended: new Promise((done) => child.once('close', (_status, signal) => done({ signal, text: text.trim() }))),
  };
}

const SLOW = `const slow = (name) => async () => { say('undoing-' + name); await new Promise((done) => setTimeout(done, 300)); say(name); };`;

test('what was begun last is undone first, and a second Ctrl-C breaks none of it off', async () => {
  const program = start(
    `${SLOW} undoAtSignals(slow('first')); undoAtSignals(slow('last')); undoAtSignals(slow('over'))();`,
  );
  await program.said('ready');
  program.child.kill('SIGINT');
  await program.said('undoing-last');
  program.child.kill('SIGINT');
  program.child.kill('SIGTERM');
  expect(await program.ended).toEqual({ signal: 'SIGINT', text: 'ready undoing-last last undoing-first first' });
});

test('what is made is undone from its first moment: a signal that comes while it is made waits for that', async () => {
  const program = start(
    `${SLOW} makeUntilSignals(() => { process.kill(process.pid, 'SIGINT'); say('made'); return 'it'; }, (made) => slow(made)());`,
  );
  expect(await program.ended).toEqual({ signal: 'SIGINT', text: 'made ready undoing-it it' });
});

test('what fails to be undone keeps nothing else from it', async () => {
  const program = start(`${SLOW} undoAtSignals(slow('first')); undoAtSignals(async () => { throw new Error('no'); });`);
  await program.said('ready');
  program.child.kill('SIGTERM');
  expect(await program.ended).toEqual({ signal: 'SIGTERM', text: 'ready undoing-first first' });
});

test('who finishes at the first signal is ended by the second one', async () => {
  const program = start(`${SLOW} undoAtSignals(slow('all')); finishAtSignal(() => say('finishing'));`);
  await program.said('ready');
  program.child.kill('SIGINT');
  await program.said('finishing');
  const pressing = setInterval(() => program.child.kill('SIGINT'), 100);
  expect(await program.ended).toEqual({ signal: 'SIGINT', text: 'ready finishing undoing-all all' });
  clearInterval(pressing);
});
