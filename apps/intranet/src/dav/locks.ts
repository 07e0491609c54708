import { randomUUID } from 'node:crypto';

/** A write lock (RFC 4918, section 6). */
export interface Lock {
  readonly token: string;
  /** Path of what is locked, without a slash at its end. */
  readonly path: string;
  readonly deep: boolean;
  readonly shared: boolean;
  /** What the client said of its owner, text without markup. */
  readonly owner: string;
  /** End of its time, epoch ms. */
  endsAt: number;
}

/** Longest time of a lock, ms. */
export const MAX_LOCK_MS = 600_000;
const MAX_LOCKS = 1_000;

/** The locks of a folder, in memory: they end with the process, as RFC 4918, section 6.6 allows. */
export class Locks {
  readonly #locks = new Map<string, Lock>();

  /** A new lock; undefined when another one is in its way, or too many are held. */
  lock(wanted: Pick<Lock, 'path' | 'deep' | 'shared' | 'owner'>, ms: number): Lock | undefined {
    const others = this.#all().filter(
      ({ path, deep }) => covers(path, deep, wanted) || covers(wanted.path, wanted.deep, { path }),
    );
    if (others.some(({ shared }) => !shared || !wanted.shared) || this.#locks.size >= MAX_LOCKS) return undefined;
    const lock = { ...wanted, token: `urn:uuid:${randomUUID()}`, endsAt: Date.now() + Math.min(ms, MAX_LOCK_MS) };
    this.#locks.set(lock.token, lock);
    return lock;
  }

  /** A lock of a path that begins its time anew; undefined when there is none with such a token. */
  refresh(path: string, tokens: readonly string[], ms: number): Lock | undefined {
    const lock = this.of(path).find(({ token }) => tokens.includes(token));
    if (lock) lock.endsAt = Date.now() + Math.min(ms, MAX_LOCK_MS);
    return lock;
  }

  /** False when no lock of the path has the token. */
  unlock(path: string, token: string): boolean {
    return this.of(path).some((lock) => lock.token === token) && this.#locks.delete(token);
  }

  /** Locks that a path is under. */
  of(path: string): Lock[] {
    return this.#all().filter((lock) => covers(lock.path, lock.deep, { path }));
  }

  /** True when whoever has these tokens may change a path, and with `deep` everything under it. */
  allows(path: string, tokens: readonly string[], deep = false): boolean {
    const held = this.#all().filter(
      (lock) => covers(lock.path, lock.deep, { path }) || (deep && covers(path, true, lock)),
    );
    return held.length === 0 || held.some(({ token }) => tokens.includes(token));
  }

  /** What was locked there is gone. */
  forget(path: string): void {
    for (const { token, path: locked } of this.#all())
      if (covers(path, true, { path: locked })) this.#locks.delete(token);
  }

  #all(): Lock[] {
    const now = Date.now();
    for (const { token, endsAt } of this.#locks.values()) if (endsAt <= now) this.#locks.delete(token);
    return [...this.#locks.values()];
  }
}

function covers(path: string, deep: boolean, other: { readonly path: string }): boolean {
  return other.path === path || (deep && other.path.startsWith(`${path}/`));
}
