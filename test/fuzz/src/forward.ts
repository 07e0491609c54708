import { type ChildProcess, spawn } from 'node:child_process';
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));

/** What enrols a machine as a device. */
export interface ForwardOptions {
  /** Folder of the machine. */
  readonly folder: string;
  readonly link: string;
  readonly user: string;
  readonly password: string;
  readonly port: number;
}

/** `sallyport device forward` as a process of its own: a machine that is enrolled as a device of one user. */
export class Forward {
  readonly port: number;
  readonly user: string;
  readonly #child: ChildProcess;
  readonly #output: () => string;

  private constructor({ port, user }: ForwardOptions, child: ChildProcess, output: () => string) {
    this.port = port;
    this.user = user;
    this.#child = child;
    this.#output = output;
  }

  static async start(options: ForwardOptions): Promise<Forward> {
    const { folder, link, user, password, port } = options;
    const enrol = run(['--data', folder, 'device', 'enroll', link, '--user', user, '--password-stdin']);
    enrol.child.stdin!.end(password);
    if ((await enrol.ended) !== 0) throw new Error(`the machine could not be enrolled:\n${enrol.output()}`);
    const forward = run(['--data', folder, 'device', 'forward', '--port', String(port)]);
    await forward.printed(/forward proxy at/);
    return new Forward(options, forward.child, forward.output);
  }

  /** What went wrong with the process. */
  problems(): string[] {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) return [];
    return [`device forward ended:\n${this.#output().slice(-4_000)}`];
  }

  /** What a backend says through it: as whom it was asked, and what it was told. */
  echo(body: string): Promise<{ readonly name: string; readonly text: string; readonly status: number }> {
    const path = 'http://honest.corp/echo';
    const headers = { host: 'honest.corp', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: this.port, method: 'POST', path, headers, agent: false });
      asked.on('error', reject);
      asked.on('response', (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ name: String(answer.headers['x-name']), text, status: answer.statusCode ?? 0 }),
        );
      });
      asked.end(body);
    });
  }

  async stop(): Promise<void> {
    if (this.problems().length > 0) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }
}

function run(args: readonly string[]) {
  const child = spawn('node', [CLI, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  const hear = (data: Buffer): void => {
    output += String(data);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const printed = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (pattern.test(output)) resolve();
      };
      child.stdout.on('data', look);
      child.once('close', () => reject(new Error(`sallyport ${args.slice(2, 4).join(' ')} ended:\n${output}`)));
    });
  return { child, ended, printed, output: () => output };
}

/** Asks through a forward proxy and compares, until it is told to stop; gives what was wrong, and how often all was right. */
export async function askForward(
  stopped: AbortSignal,
  forward: Forward,
): Promise<{ readonly right: number; readonly wrong: readonly string[] }> {
  let right = 0;
  const wrong: string[] = [];
  for (let i = 0; (!stopped.aborted || right === 0) && wrong.length < 10; i++) {
    const body = `${forward.user} ${i} ${'y'.repeat((i * 601) % 3_000)}`;
    const { name, text, status } = await forward
      .echo(body)
      .catch((error: Error) => ({ name: '', text: error.message, status: 0 }));
    if (status === 200 && name === forward.user && text === body) right += 1;
    // 503: come again, as the others are told, too.
    else if (status !== 503) wrong.push(`through device forward: ${status}, as ${name}: ${text.slice(0, 80)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { right, wrong };
}
