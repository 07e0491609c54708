import { createHistogram } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import type { LaneKind, LargeFile } from './lane.ts';
import type { Order, Outcome } from './worker.ts';

/** The load generator: threads of this process that share the lanes among them. */
export class Load {
  readonly #threads: readonly Thread[];

  private constructor(threads: readonly Thread[]) {
    this.#threads = threads;
  }

  static start(threads: number): Load {
    return new Load(Array.from({ length: threads }, () => new Thread()));
  }

  /** Opens all lanes of a kind, spread over the threads. */
  async open(kind: LaneKind): Promise<void> {
    await this.#each((share) => ({ do: 'open', lanes: shareOf(kind, share, this.#threads.length) }));
  }

  /** Each lane asks for the small page, `inFlight` at once, for a time. */
  closed(inFlight: number, forMs: number): Promise<Outcome> {
    return this.#each(() => ({ do: 'closed', inFlight, forMs }));
  }

  /** Requests at a fixed rate over all lanes. */
  paced(perSecond: number, forMs: number): Promise<Outcome> {
    return this.#each(() => ({ do: 'paced', perSecond: perSecond / this.#threads.length, forMs }));
  }

  /** Large transfers on the first lanes of every thread, `parallel` in all. */
  transfer(direction: 'down' | 'up', bytes: number, parallel: number, file?: LargeFile): Promise<Outcome> {
    const busy = this.#threads.slice(0, parallel);
    const order = {
      do: 'transfer',
      direction,
      bytes,
      parallel: parallel / busy.length,
      ...(file && { file }),
    } as const;
    return this.#each(() => order, busy);
  }

  /** Opens and closes `count` channels or TLS connections. */
  reopen(kind: LaneKind, options: { count: number; parallel: number; resumed?: boolean }): Promise<Outcome> {
    const threads = this.#threads.length;
    return this.#each((share) => ({
      do: 'reopen',
      lanes: shareOf(kind, share, threads),
      count: Math.ceil(options.count / threads),
      parallel: Math.ceil(options.parallel / threads),
      resumed: options.resumed ?? false,
    }));
  }

  /** From now on it is noted when channels end; `close` gives the times. */
  async watchEnd(): Promise<void> {
    await this.#each(() => ({ do: 'watch-end' }));
  }

  close(): Promise<Outcome> {
    return this.#each(() => ({ do: 'close' }));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  async #each(orderOf: (share: number) => Order, threads: readonly Thread[] = this.#threads): Promise<Outcome> {
    return merged(await Promise.all(threads.map((thread, share) => thread.ask(orderOf(share)))));
  }
}

class Thread {
  readonly #worker = new Worker(new URL('./worker.ts', import.meta.url));
  readonly #waiting = new Map<number, { resolve(outcome: Outcome): void; reject(error: Error): void }>();
  #asked = 0;

  constructor() {
    this.#worker.on('message', ({ id, outcome, error }: { id: number; outcome?: Outcome; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (outcome) waiting?.resolve(outcome);
      else waiting?.reject(new Error(error));
    });
    this.#worker.on('error', (error: Error) => {
      for (const { reject } of this.#waiting.values()) reject(error);
    });
  }

  ask(order: Order): Promise<Outcome> {
    const id = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, order });
    });
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The lanes of one thread. */
function shareOf(kind: LaneKind, share: number, threads: number): LaneKind {
  const ours = (_: unknown, i: number): boolean => i % threads === share;
  return kind.kind === 'channel'
    ? { ...kind, sessions: kind.sessions.filter(ours) }
    : { ...kind, tokens: kind.tokens.filter(ours) };
}

function merged(outcomes: readonly Outcome[]): Outcome {
  const latency = createHistogram();
  const problems: Record<string, number> = {};
  const perSecond: number[] = [];
  for (const outcome of outcomes) {
    if (outcome.latency.count > 0) latency.add(outcome.latency);
    for (const [name, count] of Object.entries(outcome.problems)) problems[name] = (problems[name] ?? 0) + count;
    for (const [second, count] of outcome.perSecond.entries()) perSecond[second] = (perSecond[second] ?? 0) + count;
  }
  return {
    done: outcomes.reduce((sum, { done }) => sum + done, 0),
    wallMs: Math.max(...outcomes.map(({ wallMs }) => wallMs)),
    problems,
    latency,
    perSecond,
    sums: outcomes.flatMap(({ sums }) => sums),
    ends: outcomes.flatMap(({ ends }) => ends),
  };
}
