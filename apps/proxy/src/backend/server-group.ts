import type { Backend } from '@sallyport/security-api';
import { guardWith } from '@sallyport/telemetry';
import type { BackendPool } from './pool.ts';
import type { BackendAsker, PoolSource } from './pool-source.ts';
import type { BackendServer } from './server.ts';
import { ServerHealth } from './server-health.ts';
import { isWell } from './try.ts';

const LOOK_MS = 1_000;
const CHECK_EVERY_MS = 10_000;
/** How long after the last request the servers of a backend are still looked at, ms. */
const WATCHED_MS = 60_000;

/** One of the servers of a backend. */
interface Slot {
  readonly server: BackendServer;
  readonly weight: number;
  readonly standby: boolean;
  readonly health: ServerHealth;
  pool: BackendPool | undefined;
  /** What turns have given it so far; the highest is next. */
  credit: number;
  checkAt: number;
  checking: boolean;
}

/** What a group needs from outside. */
export interface GroupParts {
  newPool(server: BackendServer, health: ServerHealth): BackendPool;
  /** A server rests, or is well again: for the log. */
  changed(url: string, well: boolean): void;
  handlerFailed(error: unknown): void;
}

/**
 * The servers of one backend: requests go to them in turns by weight, or always to the same one for a user, and round those that
 * fail. Never all of them: when none is well, all are tried. One per backend and process.
 */
export class ServerGroup implements PoolSource {
  readonly #parts: GroupParts;
  readonly #backend: Backend;
  readonly #slots: readonly Slot[];
  #timer: NodeJS.Timeout | undefined;
  #usedAt = 0;
  #closed = false;

  constructor(backend: Backend, parts: GroupParts) {
    this.#parts = parts;
    this.#backend = backend;
    const { url, weight = 1, servers = [], ...rest } = backend;
    this.#slots = [{ url, weight }, ...servers].map((server) => ({
      server: { ...rest, url: server.url },
      weight: server.weight ?? 1,
      standby: 'standby' in server && server.standby === true,
      health: new ServerHealth((well) => parts.changed(server.url, well)),
      pool: undefined,
      credit: 0,
      checkAt: 0,
      checking: false,
    }));
  }

  /** PoolSource */
  get closed(): boolean {
    return this.#closed;
  }

  /** True while nobody uses any of its servers. */
  get unused(): boolean {
    return this.#slots.every(({ pool }) => pool === undefined || pool.closed || pool.unused);
  }

  /** Servers that rest. */
  get resting(): number {
    return this.#slots.filter(({ health }) => health.resting).length;
  }

  /** PoolSource: the server whose turn it is; one that was tried only when there is no other. */
  pool({ tenant, tried }: BackendAsker): BackendPool {
    this.#watch();
    const now = performance.now();
    const left = this.#slots.filter(({ pool }) => !pool || !tried?.has(pool));
    // A login of the connection goes on where it began.
    const bound = left.find(({ pool }) => pool && (tenant.findShare(pool)?.own.size ?? 0) > 0);
    const slot = bound ?? this.#choose(candidates(left.length > 0 ? left : this.#slots, now), tenant.user);
    return this.#poolOf(slot);
  }

  /** PoolSource */
  has(pool: BackendPool): boolean {
    return this.#slots.some((slot) => slot.pool === pool);
  }

  /** True when there is a server that was not tried yet. */
  hasOther(tried: ReadonlySet<BackendPool>): boolean {
    return this.#slots.some(({ pool }) => !pool || !tried.has(pool));
  }

  /** PoolSource */
  congested(tenant: BackendAsker['tenant']): boolean {
    return this.#slots.every(({ pool }) => pool?.congested(tenant) === true);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const { pool } of this.#slots) pool?.close();
  }

  #choose(slots: readonly Slot[], user: string): Slot {
    return this.#backend.sticky ? ownOf(slots, user) : nextOf(slots);
  }

  #poolOf(slot: Slot): BackendPool {
    if (!slot.pool || slot.pool.closed) slot.pool = this.#parts.newPool(slot.server, slot.health);
    return slot.pool;
  }

  #watch(): void {
    this.#usedAt = performance.now();
    if (this.#timer) return;
    this.#timer = setInterval(
      guardWith(this.#parts.handlerFailed)(() => this.#look()),
      LOOK_MS,
    ).unref();
  }

  #look(): void {
    const now = performance.now();
    if (now - this.#usedAt > WATCHED_MS) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    for (const slot of this.#slots) {
      const due = slot.health.lookDue(now) || (this.#backend.health !== undefined && now >= slot.checkAt);
      if (due && !slot.checking) void this.#check(slot);
    }
  }

  /** One look at a server at a time; the next one not before its time, which is a little different every time. */
  async #check(slot: Slot): Promise<void> {
    slot.checking = true;
    try {
      const well = await isWell(slot.server, this.#backend.health?.path);
      slot.health.checked(well, performance.now());
    } catch (error) {
      this.#parts.handlerFailed(error);
    }
    const everyMs = this.#backend.health?.everyMs ?? CHECK_EVERY_MS;
    slot.checkAt = performance.now() + everyMs * (0.8 + 0.4 * Math.random());
    slot.checking = false;
  }
}

/** Servers that may be asked: those that are well, then those on standby, then whatever there is. */
function candidates(slots: readonly Slot[], now: number): readonly Slot[] {
  const well = slots.filter(({ health }) => health.usable(now));
  const first = well.filter(({ standby }) => !standby);
  if (first.length > 0) return first;
  if (well.length > 0) return well;
  return slots;
}

/** Turns by weight, spread evenly: of 3 and 1 the order is a a b a. */
function nextOf(slots: readonly Slot[]): Slot {
  let total = 0;
  let next = slots[0]!;
  for (const slot of slots) {
    total += slot.weight;
    slot.credit += slot.weight;
    if (slot.credit > next.credit) next = slot;
  }
  next.credit -= total;
  return next;
}

/** The same server for a user at every Proxy, as long as it is well; users spread by weight (rendezvous hashing). */
function ownOf(slots: readonly Slot[], user: string): Slot {
  let own = slots[0]!;
  let best = Number.NEGATIVE_INFINITY;
  for (const slot of slots) {
    const score = slot.weight / -Math.log(shareOf(`${user} ${slot.server.url}`));
    if (score > best) [own, best] = [slot, score];
  }
  return own;
}

/** A number between 0 and 1 that looks random, always the same for a text (FNV-1a, then mixed). */
function shareOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}
