import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';
import { ChannelLane } from './channel-lane.ts';
import { HttpLane, handshake, ticketOf } from './http-lane.ts';
import type { Lane, LaneKind, LargeFile } from './lane.ts';

/** What a thread is told to do. */
export type Order =
  | { readonly do: 'open'; readonly lanes: LaneKind }
  | { readonly do: 'closed'; readonly inFlight: number; readonly forMs: number }
  | { readonly do: 'paced'; readonly perSecond: number; readonly forMs: number }
  | {
      readonly do: 'transfer';
      readonly direction: 'down' | 'up';
      readonly bytes: number;
      readonly parallel: number;
      readonly file?: LargeFile;
    }
  | {
      readonly do: 'reopen';
      readonly lanes: LaneKind;
      readonly count: number;
      readonly parallel: number;
      readonly resumed: boolean;
    }
  | { readonly do: 'watch-end' }
  | { readonly do: 'close' };

/** What came of it. */
export interface Outcome {
  /** Requests answered rightly. */
  readonly done: number;
  readonly wallMs: number;
  /** Everything else, by what was wrong. */
  readonly problems: Readonly<Record<string, number>>;
  /** Latency in microseconds; for paced load from when the request was due, not from when it was sent. */
  readonly latency: RecordableHistogram;
  /** Right answers in each second since the start. */
  readonly perSecond: readonly number[];
  /** CRC-32 of each transfer. */
  readonly sums: readonly number[];
  /** When channels ended, ms since the epoch. */
  readonly ends: readonly number[];
}

let lanes: Lane[] = [];
let ends: number[] = [];

/** Counts answers as they come. */
class Count {
  readonly #start = performance.now();
  readonly latency = createHistogram();
  readonly problems: Record<string, number> = {};
  readonly perSecond: number[] = [];
  done = 0;

  add(from: number, problem: string | undefined): void {
    const now = performance.now();
    if (problem !== undefined) {
      this.problems[problem] = (this.problems[problem] ?? 0) + 1;
      return;
    }
    this.done += 1;
    const second = Math.floor((now - this.#start) / 1000);
    this.perSecond[second] = (this.perSecond[second] ?? 0) + 1;
    this.latency.record(Math.max(1, Math.round((now - from) * 1000)));
  }

  outcome(more: Partial<Outcome> = {}): Outcome {
    const { done, problems, latency } = this;
    const perSecond = Array.from(this.perSecond, (count) => count ?? 0);
    const wallMs = performance.now() - this.#start;
    return { done, problems, latency, perSecond, wallMs, sums: [], ends: [], ...more };
  }
}

async function inSteps<T>(items: readonly T[], step: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const next = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(step, items.length) }, next));
}

async function open(kind: LaneKind): Promise<void> {
  const at = kind.kind === 'channel' ? kind.sessions : kind.tokens;
  await inSteps<number>([...at.keys()], 32, async (i) => {
    lanes.push(await openOne(kind, i));
  });
}

async function openOne(kind: LaneKind, i: number): Promise<Lane> {
  if (kind.kind === 'http') return HttpLane.open(kind, kind.tokens[i]!);
  return ChannelLane.open(kind.origins[i % kind.origins.length]!, kind.sessions[i]!, kind.suite);
}

/** Closed loop: every lane sends its next request when one is answered. */
function closed(inFlight: number, forMs: number): Promise<Outcome> {
  const count = new Count();
  const until = performance.now() + forMs;
  let running = 0;
  return new Promise((resolve) => {
    const ask = (lane: Lane): void => {
      const from = performance.now();
      if (from >= until) {
        running -= 1;
        if (running === 0) resolve(count.outcome());
        return;
      }
      lane.get((problem) => {
        count.add(from, problem);
        if (problem === undefined) ask(lane);
        else setTimeout(() => ask(lane), 1);
      });
    };
    for (const lane of lanes) {
      for (let i = 0; i < inFlight; i++) {
        running += 1;
        ask(lane);
      }
    }
  });
}

/**
 * Open loop: requests fall due at a fixed rate, whatever became of the earlier ones. Latency counts from when a request
 * was due, so a server that stalls cannot hide the requests that it kept from being sent.
 */
function paced(perSecond: number, forMs: number): Promise<Outcome> {
  const count = new Count();
  const start = performance.now();
  const total = Math.floor((perSecond * forMs) / 1000);
  let sent = 0;
  let open = 0;
  return new Promise((resolve) => {
    const settle = (): void => {
      if (sent === total && open === 0) resolve(count.outcome());
    };
    const tick = (): void => {
      const due = Math.min(total, Math.ceil(((performance.now() - start) * perSecond) / 1000));
      for (; sent < due; sent++) {
        const from = start + (sent * 1000) / perSecond;
        open += 1;
        lanes[sent % lanes.length]!.get((problem) => {
          open -= 1;
          count.add(from, problem);
          settle();
        });
      }
      if (sent < total) setImmediate(tick);
      else settle();
    };
    tick();
  });
}

async function transfer({ direction, bytes, parallel, file }: Extract<Order, { do: 'transfer' }>): Promise<Outcome> {
  const count = new Count();
  const sums = await Promise.all(lanes.slice(0, parallel).map((lane) => lane.transfer(direction, bytes, file)));
  return count.outcome({ sums });
}

/** Opens and closes one after the other, `parallel` at a time. */
async function reopen(order: Extract<Order, { do: 'reopen' }>): Promise<Outcome> {
  const { lanes: kind, parallel, resumed } = order;
  const ticket = kind.kind === 'http' && resumed ? await ticketOf(kind) : undefined;
  const count = new Count();
  await inSteps<number>([...Array(order.count).keys()], parallel, async (i) => {
    const from = performance.now();
    if (kind.kind === 'http') await handshake(kind, ticket);
    else (await openOne(kind, i % kind.sessions.length)).close();
    count.add(from, undefined);
  });
  return count.outcome();
}

function watchEnd(): void {
  ends = [];
  for (const lane of lanes) {
    if (lane instanceof ChannelLane) lane.onEnd = (at) => void ends.push(performance.timeOrigin + at);
  }
}

async function obey(order: Order): Promise<Outcome> {
  switch (order.do) {
    case 'open':
      await open(order.lanes);
      return new Count().outcome({ done: lanes.length });
    case 'closed':
      return closed(order.inFlight, order.forMs);
    case 'paced':
      return paced(order.perSecond, order.forMs);
    case 'transfer':
      return transfer(order);
    case 'reopen':
      return reopen(order);
    case 'watch-end':
      watchEnd();
      return new Count().outcome();
    case 'close': {
      for (const lane of lanes) lane.close();
      lanes = [];
      return new Count().outcome({ ends });
    }
  }
}

parentPort!.on('message', ({ id, order }: { id: number; order: Order }) => {
  obey(order).then(
    (outcome) => parentPort!.postMessage({ id, outcome }),
    (error: Error) => parentPort!.postMessage({ id, error: error.message }),
  );
});
