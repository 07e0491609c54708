import { readdirSync, readFileSync } from 'node:fs';

const TICK_MICROS = 10_000;

/** A process and all below it. */
export function family(pid: number): number[] {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid);
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

function parentOf(pid: string): number {
  return Number(statOf(pid)[1]);
}

/** Fields of proc(5) `stat` from the third one on; none for a process that has ended. */
function statOf(pid: number | string): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
  } catch {
    return [];
  }
}

/**
 * CPU time of processes, microseconds: what the scheduler counted for every living thread (`schedstat`, in ns), and user
 * and system time of children that have ended (`stat`, in ticks).
 */
export function cpuMicros(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + threadMicros(pid) + endedMicros(pid), 0);
}

function threadMicros(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
      const [ns = '0'] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      return sum + Number(ns) / 1000;
    }, 0);
  } catch {
    return 0;
  }
}

function endedMicros(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) * TICK_MICROS;
}

/** Memory of processes, MiB; what they share counts once (`Pss` of proc(5) `smaps_rollup`). */
export function memoryMiB(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      return sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024;
    } catch {
      return sum;
    }
  }, 0);
}
