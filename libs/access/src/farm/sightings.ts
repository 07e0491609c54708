interface Sighting {
  readonly mark: string;
  readonly seenAt: number;
}

/**
 * When rows that change with every beat were last seen to change, on this node's monotonic clock: whether something lives is
 * observed, never computed from times that another machine wrote. Not shared between nodes.
 */
export class Sightings<Row> {
  readonly #now: () => number;
  readonly #keyOf: (row: Row) => string;
  readonly #markOf: (row: Row) => string;
  #known = new Map<string, Sighting>();

  /** `markOf` gives what differs from beat to beat. */
  constructor(monotonicMs: () => number, keyOf: (row: Row) => string, markOf: (row: Row) => string) {
    this.#now = monotonicMs;
    this.#keyOf = keyOf;
    this.#markOf = markOf;
  }

  /** Takes all rows as just read from the store. */
  observe(rows: readonly Row[]): void {
    const seenAt = this.#now();
    this.#known = new Map(
      rows.map((row) => {
        const mark = this.#markOf(row);
        const known = this.#known.get(this.#keyOf(row));
        return [this.#keyOf(row), known?.mark === mark ? known : { mark, seenAt }];
      }),
    );
  }

  /** For how long a row has been as it is, as seen here, ms; 0 for one that was not observed like this. */
  stillMs(row: Row): number {
    const known = this.#known.get(this.#keyOf(row));
    return known?.mark === this.#markOf(row) ? this.#now() - known.seenAt : 0;
  }

  /** When the row's present mark was first seen; undefined for a row that was never observed. */
  seenAt(key: string): number | undefined {
    return this.#known.get(key)?.seenAt;
  }
}
