import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const PAUSE_MS = 500;
const ANSWER_MS = 60_000;

/** Somebody who goes through `device forward` and compares every answer. */
export class ForwardUser {
  readonly #user: string;
  readonly #port: number;
  #latencies: number[] = [];
  #problems: Record<string, number> = {};

  constructor(user: string, port: number) {
    this.#user = user;
    this.#port = port;
  }

  async work(stopped: AbortSignal): Promise<void> {
    for (let i = 0; !stopped.aborted; i++) {
      const startedAt = performance.now();
      const problem = await this.#ask(`/page/${i}`).catch((error: Error) => `device forward: ${error.message}`);
      if (problem === undefined) this.#latencies.push(performance.now() - startedAt);
      else this.#problems[problem] = (this.#problems[problem] ?? 0) + 1;
      await sleep(PAUSE_MS);
    }
  }

  /** What was seen since the last report: latencies in ms, sorted, and problems by what they were. */
  report(): { readonly latencies: readonly number[]; readonly problems: Readonly<Record<string, number>> } {
    const seen = { latencies: this.#latencies.sort((a, b) => a - b), problems: this.#problems };
    this.#latencies = [];
    this.#problems = {};
    return seen;
  }

  #ask(path: string): Promise<string | undefined> {
    const headers = { host: 'honest.corp' };
    return new Promise((resolve, reject) => {
      const asked = request({
        host: '127.0.0.1',
        port: this.#port,
        path: `http://honest.corp${path}`,
        headers,
        agent: false,
      });
      asked.setTimeout(ANSWER_MS, () => asked.destroy(new Error('no answer')));
      asked.on('error', reject);
      asked.on('response', (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('error', reject);
        answer.on('end', () => {
          const right = answer.statusCode === 200 && text.startsWith(`${this.#user} ${path} `);
          resolve(right ? undefined : `device forward: ${answer.statusCode} ${text.slice(0, 40)}`);
        });
      });
      asked.end();
    });
  }
}
