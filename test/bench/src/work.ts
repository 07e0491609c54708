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
export interface Line extends LineName {
  readonly unit: string;
  measure(): Promise<Measured>;
}

/** A line of a work's table. */
export interface LineName {
  readonly subject: string;
  readonly variant: string;
}

/** A ratio of two lines that we want to reach, at the most or at the least. */
export interface Goal {
  readonly title: string;
  readonly above: LineName;
  readonly below: LineName;
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** Our gateway as most goals mean it: with the suite that the SDK takes on a machine like this. */
export const OURS = 'Sallyport, ChaChaPoly';

/** A goal that holds us against a peer at the same work. */
export function against(
  variant: string,
  peer: string,
  bound: { readonly atMost?: number; readonly atLeast?: number },
): Goal {
  const above = { subject: OURS, variant };
  return { title: `${variant}: Sallyport by ${peer}`, above, below: { subject: peer, variant }, ...bound };
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

/** @throws Error when any transfer of a measurement brought other bytes than those of this CRC-32 */
export function allArrived(outcome: Outcome, crc: number): void {
  allRight(outcome);
  if (!outcome.sums.every((sum) => sum === crc)) throw new Error('the bytes that arrived are others');
}

/** What a Proxy may refuse when the machine stalls: more of it would not be the same work any more. */
const MAX_REFUSED = 0.01;

/** How many requests were refused by a server that had too much to do. @throws Error when those were not few, or anything else was not right */
export function fewRefused(outcome: Outcome): number {
  const { CALM_DOWN: refused = 0, ...wrong } = outcome.problems;
  allRight({ ...outcome, problems: refused > outcome.done * MAX_REFUSED ? outcome.problems : wrong });
  return refused;
}

/** CPU microseconds that a subject uses for some work, and the same by part. */
export async function cpuOf<T>(
  subject: Subject,
  work: () => Promise<T>,
): Promise<{ cpuMicros: number; parts: Readonly<Record<string, number>>; result: T }> {
  const before = subject.cpuMicros();
  const partsBefore = subject.parts?.() ?? {};
  const result = await work();
  const cpuMicros = subject.cpuMicros() - before;
  const parts = Object.entries(subject.parts?.() ?? {}).map(([name, value]) => [name, value - partsBefore[name]!]);
  return { cpuMicros, parts: Object.fromEntries(parts), result };
}

/** How CPU time or memory was shared among parts, each for one of `count`. */
export function sharesOf(parts: Readonly<Record<string, number>>, count: number): string {
  return Object.entries(parts)
    .map(([name, value]) => `, ${name} ${Math.round(value / count)}`)
    .join('');
}
