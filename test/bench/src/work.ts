import type { Gateway } from './gateway.ts';
import type { Load } from './load/load.ts';
import type { Outcome } from './load/worker.ts';
import type { Peers } from './peers/peers.ts';
import type { Subject } from './subject.ts';

/** What works run on. */
export interface Bench {
  readonly gateway: Gateway;
  readonly peers: Peers;
  readonly load: Load;
  /** Factor on the length of every measurement; 1 for results to keep. */
  readonly scale: number;
  say(text: string): void;
}

/** One value of one round. */
export interface Measured {
  readonly value: number;
  readonly note?: string;
}

/** One line of a work's table: a subject, and how it is measured once. */
export interface Line {
  readonly subject: string;
  /** What differs between the lines of a subject, for instance how many channels. */
  readonly variant: string;
  readonly unit: string;
  measure(): Promise<Measured>;
}

/** A ratio that the issue asks for: ours by another line's, at the most or at the least. */
export interface Goal {
  readonly variant: string;
  readonly ours: string;
  readonly theirs: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** One kind of work. */
export interface Work {
  readonly name: string;
  readonly title: string;
  /** True when it runs once, however many rounds are asked for: it takes minutes or changes the place. */
  readonly once?: boolean;
  readonly goals: readonly Goal[];
  lines(bench: Bench): readonly Line[];
}

/** @throws Error when any answer of a measurement was not right */
export function allRight({ problems }: Outcome): void {
  const wrong = Object.entries(problems);
  if (wrong.length > 0)
    throw new Error(`wrong answers: ${wrong.map(([name, count]) => `${name} ${count}`).join(', ')}`);
}

/** CPU microseconds that a subject uses for some work. */
export async function cpuOf<T>(subject: Subject, work: () => Promise<T>): Promise<{ cpuMicros: number; result: T }> {
  const before = subject.cpuMicros();
  const result = await work();
  return { cpuMicros: subject.cpuMicros() - before, result };
}
