import { relative } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

const SHOWN = 10;
/** What is quicker than this is nobody's concern, ms. */
const SLOW_MS = 1_000;

/** Something that took its time: a test, or what a file starts before its first test. */
export interface Taken {
  readonly what: string;
  readonly ms: number;
}

/** The lines that are printed at the end of a run; none when all was quick. */
export function slowestLines(taken: readonly Taken[]): string[] {
  const slow = taken.filter(({ ms }) => ms >= SLOW_MS).sort((one, other) => other.ms - one.ms);
  if (slow.length === 0) return [];
  const seconds = ({ ms }: Taken): string => (ms / 1_000).toFixed(1).padStart(7);
  return ['', ' Slowest, in seconds', ...slow.slice(0, SHOWN).map((one) => `${seconds(one)}  ${one.what}`)];
}

/** Lists the ten slowest tests at the end of a run. */
export class SlowestTests implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const line of slowestLines(modules.flatMap(takenBy))) process.stdout.write(`${line}\n`);
  }
}

function takenBy(module: TestModule): Taken[] {
  const file = relative(process.cwd(), module.moduleId);
  const start = { what: `${file}: what it starts`, ms: module.diagnostic().collectDuration };
  const tests = [...module.children.allTests()];
  return [start, ...tests.map((test) => ({ what: `${file}: ${test.fullName}`, ms: test.diagnostic()?.duration ?? 0 }))];
}
