/** What is in flight for somebody until some time, ms of the caller's clock. */
export interface Flight<Value> {
  readonly value: Value;
  /** Who began it: the key of their address. */
  readonly owner: string;
  readonly until: number;
  /** A person is working on it: it does not give way to others. */
  readonly kept: boolean;
}

/**
 * Bounded memory for what strangers may begin. When it is full, the oldest of whoever has the most gives way: a flood from
 * one network pushes out itself, and one from everywhere at once shortens the time that each has, but keeps nobody out.
 * Not shared.
 */
export class InFlight<Value> {
  readonly #max: number;
  readonly #flights = new Map<string, Flight<Value>>();
  /** Ids by owner, oldest first; and owners by how many they have. What is kept is in neither. */
  readonly #owned = new Map<string, Set<string>>();
  readonly #byCount: Set<string>[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#flights.size;
  }

  /** Adds one; false when everything is kept for somebody, and there is no room. */
  add(id: string, flight: Flight<Value>): boolean {
    if (this.#flights.size >= this.#max && !this.#giveWay()) return false;
    this.#flights.set(id, flight);
    if (!flight.kept) this.#own(flight.owner, (ids) => ids.add(id));
    return true;
  }

  /** Takes one out, if it is still there and in time. */
  take(id: string, now: number): Flight<Value> | undefined {
    const flight = this.#flights.get(id);
    if (flight) this.#remove(id, flight);
    return flight && flight.until >= now ? flight : undefined;
  }

  /** Drops what is over. */
  expire(now: number): void {
    for (const [id, flight] of this.#flights) {
      if (flight.until < now) this.#remove(id, flight);
      // All but the kept ones have the same time, so they end in the order in which they began.
      else if (!flight.kept) return;
    }
  }

  #giveWay(): boolean {
    while (this.#byCount.length > 0 && (this.#byCount.at(-1)?.size ?? 0) === 0) this.#byCount.pop();
    const owner = this.#byCount.at(-1)?.values().next().value;
    const id = owner === undefined ? undefined : this.#owned.get(owner)!.values().next().value;
    if (id === undefined) return false;
    this.#remove(id, this.#flights.get(id)!);
    return true;
  }

  #remove(id: string, flight: Flight<Value>): void {
    this.#flights.delete(id);
    if (!flight.kept) this.#own(flight.owner, (ids) => ids.delete(id));
  }

  /** Changes what somebody owns, and where they stand among the others. */
  #own(owner: string, change: (ids: Set<string>) => void): void {
    const ids = this.#owned.get(owner) ?? new Set();
    this.#byCount[ids.size]?.delete(owner);
    change(ids);
    if (ids.size === 0) {
      this.#owned.delete(owner);
      return;
    }
    this.#owned.set(owner, ids);
    this.#byCount[ids.size] ??= new Set();
    this.#byCount[ids.size]!.add(owner);
  }
}
