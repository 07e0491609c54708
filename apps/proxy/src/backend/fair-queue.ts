/** What one user, or one session of it, has of a pool. Shared by all its channels. */
export interface Claim {
  /** Connections in use for it. */
  held: number;
  /** Connections that are being made because it waits. */
  dialling: number;
}

/** A user's claim, with the sessions of it that wait, in the order of their turns. */
export interface UserClaim extends Claim {
  readonly waitingSessions: SessionClaim<unknown>[];
  waiting: number;
}

/** A session's claim, with what waits for it. */
export interface SessionClaim<Item> extends Claim {
  readonly user: UserClaim;
  readonly items: Item[];
  /** Items taken in its present turn. */
  inTurn: number;
}

/** Items of one turn: what is sent together is mostly answered together, and answers in one record cost less than apart. */
const TURN = 4;

/**
 * Who may have how much of a pool: a session as long as it has less than a third of what is free, a user as long as it has
 * less than what is free. Alone that is a quarter and a half of the pool; however many come, something stays free for the
 * next one, and whoever has nothing is never refused while something is free.
 */
export function mayHaveMore({ held, user }: SessionClaim<unknown>, free: number): boolean {
  return mayExceed(held, user.held, free);
}

/** The same for one more connection that is made for it, when those that are being made count as its own. */
export function mayDialMore({ held, dialling, items, user }: SessionClaim<unknown>, free: number): boolean {
  return dialling < items.length && mayExceed(held + dialling, user.held + user.dialling, free);
}

function mayExceed(ofSession: number, ofUser: number, free: number): boolean {
  if (free <= 0) return false;
  return ofSession === 0 || (ofSession * 3 < free && ofUser < free);
}

/** What waits for a connection, taken in turns: users first, then the sessions of a user, then a few of their items in order. */
export class FairQueue<Item> {
  readonly #users: UserClaim[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Users that wait. */
  get users(): number {
    return this.#users.length;
  }

  push(claim: SessionClaim<Item>, item: Item): void {
    const { user, items } = claim;
    if (user.waiting === 0) this.#users.push(user);
    if (items.length === 0) user.waitingSessions.push(claim);
    items.push(item);
    user.waiting += 1;
    this.#size += 1;
  }

  /** The next item whose session may have a connection; undefined when nobody's may. */
  take(may: (claim: SessionClaim<Item>) => boolean): Item | undefined {
    const claim = this.find(may);
    return claim && this.#takeFrom(claim);
  }

  /** Takes one item out; false when it does not wait here. */
  remove(claim: SessionClaim<Item>, item: Item): boolean {
    const at = claim.items.indexOf(item);
    if (at < 0) return false;
    claim.items.splice(at, 1);
    this.#left(claim);
    return true;
  }

  /** Everything that waits. */
  *[Symbol.iterator](): Generator<Item> {
    for (const { waitingSessions } of this.#users)
      for (const { items } of waitingSessions) yield* items as readonly Item[];
  }

  /**
   * The session of the next item that may be had; undefined when nobody's may. Under load this looks at every user for each
   * connection that is given back: no closures, no iterators.
   */
  find(may: (claim: SessionClaim<Item>) => boolean): SessionClaim<Item> | undefined {
    for (let i = 0; i < this.#users.length; i++) {
      const sessions = this.#users[i]!.waitingSessions as readonly SessionClaim<Item>[];
      for (let k = 0; k < sessions.length; k++) if (may(sessions[k]!)) return sessions[k];
    }
    return undefined;
  }

  #takeFrom(claim: SessionClaim<Item>): Item {
    const item = claim.items.shift()!;
    this.#left(claim);
    claim.inTurn += 1;
    if (claim.items.length > 0 && claim.inTurn < TURN) return item;
    // Whoever had a turn goes behind the others.
    claim.inTurn = 0;
    const { user } = claim;
    if (claim.items.length > 0) toEnd(user.waitingSessions, claim);
    if (user.waiting > 0) toEnd(this.#users, user);
    return item;
  }

  #left(claim: SessionClaim<Item>): void {
    const { user } = claim;
    this.#size -= 1;
    user.waiting -= 1;
    if (claim.items.length === 0) user.waitingSessions.splice(user.waitingSessions.indexOf(claim), 1);
    if (user.waiting === 0) this.#users.splice(this.#users.indexOf(user), 1);
  }
}

function toEnd<One>(list: One[], one: One): void {
  if (list.length < 2) return;
  list.splice(list.indexOf(one), 1);
  list.push(one);
}
