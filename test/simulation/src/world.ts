import { randomFrom } from '@sallyport/support';

/** A machine of the simulation: its clocks, and when it stands still. */
export interface Machine {
  readonly name: string;
  /** Until when nothing on it runs, in world time. */
  pausedUntil: number;
  /** World time that its monotonic clock has missed: a suspended machine does not count. */
  missedMs: number;
  /** Its wall clock less world time. */
  wallOffsetMs: number;
  /** How fast its monotonic clock runs: 1 is exact. */
  readonly rate: number;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly machine: Machine | undefined;
  readonly run: () => void;
}

/**
 * Virtual time with random numbers from a seed. Events run one after another in the order of their times; between two of
 * them everything that was promised is carried out, so a seed gives the same run each time.
 */
export class World {
  now = 0;
  readonly #random: () => number;
  #heap: Event[] = [];
  #order = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** From 0 up to, not including, 1. */
  random(): number {
    return this.#random();
  }

  between(low: number, high: number): number {
    return low + this.#random() * (high - low);
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  one<T>(all: readonly T[]): T {
    return all[Math.floor(this.#random() * all.length)]!;
  }

  machine(name: string): Machine {
    const rate = 1 + this.between(-0.0002, 0.0002);
    return { name, pausedUntil: 0, missedMs: 0, wallOffsetMs: this.between(-600_000, 600_000), rate };
  }

  monotonicMs(machine: Machine): number {
    return (this.now - machine.missedMs) * machine.rate;
  }

  wallMs(machine: Machine): number {
    return 1_800_000_000_000 + this.now + machine.wallOffsetMs;
  }

  /** Runs something later, on a machine when one is named: if it stands still then, as soon as it goes on. */
  after(ms: number, run: () => void, machine?: Machine): void {
    this.#push({ at: this.now + Math.max(0, ms), order: this.#order++, machine, run });
  }

  sleep(ms: number, machine?: Machine): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve, machine));
  }

  /** Runs until a time, or until there is nothing left to do. */
  async run(until: number): Promise<void> {
    for (let event = this.#pop(); event && event.at <= until; event = this.#pop()) {
      this.now = event.at;
      const { machine } = event;
      if (machine && machine.pausedUntil > this.now) {
        this.#push({ ...event, at: machine.pausedUntil, order: this.#order++ });
        continue;
      }
      event.run();
      await settled();
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let child = heap.push(event) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!before(heap[child]!, heap[parent]!)) return;
      [heap[child], heap[parent]] = [heap[parent]!, heap[child]!];
      child = parent;
    }
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    heap[0] = last;
    for (let parent = 0; ; ) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      let least = parent;
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left;
      if (right < heap.length && before(heap[right]!, heap[least]!)) least = right;
      if (least === parent) return first;
      [heap[parent], heap[least]] = [heap[least]!, heap[parent]!];
      parent = least;
    }
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Lets everything run that waits for a promise which is kept already: a tick comes when none of it is left. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
