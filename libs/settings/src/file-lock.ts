import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { processBegun, processSpace } from './process-begin.ts';

/** Who has a lock. */
interface Holder {
  readonly id: string;
  readonly pid: number;
  readonly begun: string;
  readonly space: string;
}

/** A holder of another machine or container cannot be asked after: what it does takes milliseconds, so this long is too long, ms. */
const STALE_MS = 3_000;
const WAIT_MS = 4_000;
const LOOK_MS = 10;

/**
 * Does what reads a file and replaces it while no other process does so with the same file; `work` must not wait for anything. What a
 * process that was killed has left is no lock.
 * @throws Error when another one holds it too long; then nothing was done
 */
export function withFileLock<T>(file: string, work: () => T): T {
  const lock = `${file}.lock`;
  const { pid } = process;
  const own: Holder = { id: randomUUID(), pid, begun: processBegun(pid) ?? '', space: processSpace() };
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  take(lock, own);
  try {
    return work();
  } finally {
    if (textOf(lock) === JSON.stringify(own)) rmSync(lock, { force: true });
  }
}

function take(lock: string, own: Holder): void {
  const draft = `${lock}.${own.id}.new`;
  writeFileSync(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    for (const deadline = performance.now() + WAIT_MS; !tryLink(draft, lock); sleepSync(LOOK_MS)) {
      const held = textOf(lock);
      if (held !== undefined && isGone(lock, held)) breakLock(lock, held, own);
      else if (performance.now() > deadline) throw new Error(`another process holds ${lock}: ${held ?? ''}`);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

function tryLink(draft: string, lock: string): boolean {
  try {
    linkSync(draft, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function textOf(lock: string): string | undefined {
  try {
    return readFileSync(lock, 'utf8');
  } catch {
    return undefined;
  }
}

function isGone(lock: string, held: string): boolean {
  try {
    const { pid, begun, space } = JSON.parse(held) as Holder;
    if (space === processSpace()) return processBegun(pid) !== begun;
  } catch {
    // No word of ours: its age says all there is to say.
  }
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
  return since !== undefined && Date.now() - since > STALE_MS;
}

/** Two may find the same lock gone: the second one must not take away what the first has put in its place. */
function breakLock(lock: string, held: string, { id }: Holder): void {
  const away = `${lock}.${id}.gone`;
  try {
    renameSync(lock, away);
  } catch {
    return;
  }
  if (textOf(away) !== held) tryLink(away, lock);
  rmSync(away, { force: true });
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
