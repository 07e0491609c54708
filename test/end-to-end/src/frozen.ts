import { readdirSync, readFileSync } from 'node:fs';
import { signalTo } from '@sallyport/support';

/** Stops a process with all that it has started, as a snapshot of its machine would find them, while something is done. */
export async function whileFrozen<T>(pid: number, work: () => Promise<T>): Promise<T> {
  const stopped = new Set<number>();
  // What was started meanwhile is found in the next round.
  for (let found = [pid]; found.length > 0; found = familyOf(pid).filter((one) => !stopped.has(one))) {
    for (const one of found) {
      signalTo(one, 'SIGSTOP');
      stopped.add(one);
    }
  }
  try {
    return await work();
  } finally {
    for (const one of stopped) signalTo(one, 'SIGCONT');
  }
}

/** Ends a process with all that it has started, at once. */
export function powerOff(pid: number): void {
  for (const one of familyOf(pid)) signalTo(one, 'SIGKILL');
}

function familyOf(pid: number): number[] {
  const parents = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), parentOf(name)] as const),
  );
  const family = [pid];
  for (const one of family) for (const [child, parent] of parents) if (parent === one) family.push(child);
  return family;
}

/** The fourth field of proc(5) stat; the second may hold anything but ends with a parenthesis. */
function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}
