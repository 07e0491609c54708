import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cpuMicros } from '../processes.ts';

/** A process that plays somebody: devices, a backend, a hostile party. It is sent one thing, and may answer it. */
export class Player {
  readonly #child: ChildProcess;

  /** Starts a module of this folder. */
  constructor(module: string) {
    const file = fileURLToPath(new URL(module, import.meta.url));
    this.#child = fork(file, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** CPU time so far, microseconds. */
  cpu(): number {
    return cpuMicros([this.#child.pid!]);
  }

  /** Sends a message and gives the next answer. */
  ask<Answer>(message: unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error('a process of the test ended'));
      this.#child.once('exit', ended);
      this.#child.once('message', (answer) => {
        this.#child.off('exit', ended);
        resolve(answer as Answer);
      });
      this.#child.send(message as object);
    });
  }

  async end(): Promise<void> {
    if (!this.running) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** Answers what the process that started this one asks. */
export function answerWith(answer: (message: never) => Promise<unknown>): void {
  process.on('message', (message) => {
    // What throws ends this process, and whoever asked hears so.
    void answer(message as never).then((said) => process.send!(said as object));
  });
  // Whoever started this process is gone.
  process.on('disconnect', () => process.exit(0));
}
