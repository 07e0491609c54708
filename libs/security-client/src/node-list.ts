import { createHash } from 'node:crypto';

/** A node that did not answer is asked last for so long, ms; each time in a row twice as long. */
const PENALTY_MS = 2_000;
const MAX_PENALTY_MS = 60_000;

interface Failures {
  readonly until: number;
  readonly inRow: number;
}

/**
 * The Security nodes a Proxy knows, in the order to ask them. Shared by requests and the control connection, so that what
 * one finds out serves the other. Every Proxy has its own order, so that together they use all nodes.
 */
export class NodeList {
  readonly #name: string;
  readonly #now: () => number;
  readonly #changed: (urls: readonly string[]) => void;
  readonly #failures = new Map<string, Failures>();
  readonly #answeredAt = new Map<string, number>();
  #urls: readonly string[] = [];

  constructor(
    proxy: { readonly name: string; readonly urls: readonly string[] },
    changed: (urls: readonly string[]) => void = () => undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#name = proxy.name;
    this.#changed = changed;
    this.#now = now;
    this.#place(proxy.urls);
  }

  /** All nodes, those that failed lately last. */
  get inOrder(): readonly string[] {
    const now = this.#now();
    const failed = (url: string): boolean => now < (this.#failures.get(url)?.until ?? 0);
    return [...this.#urls.filter((url) => !failed(url)), ...this.#urls.filter(failed)];
  }

  get count(): number {
    return this.#urls.length;
  }

  /** A node did not answer. */
  failed(url: string): void {
    const inRow = this.#failures.get(url)?.inRow ?? 0;
    const penaltyMs = Math.min(MAX_PENALTY_MS, PENALTY_MS * 2 ** inRow);
    this.#failures.set(url, { until: this.#now() + penaltyMs, inRow: inRow + 1 });
  }

  /** A node answered. */
  answered(url: string): void {
    this.#failures.delete(url);
    this.#answeredAt.set(url, this.#now());
  }

  /**
   * True when a node has answered anything within the last so many ms: it is slow then, not gone, and asking others the
   * same would only add to the load.
   */
  answeredWithin(url: string, ms: number): boolean {
    return this.#now() - (this.#answeredAt.get(url) ?? Number.NEGATIVE_INFINITY) < ms;
  }

  /** Security says which nodes there are. An empty list is a mistake and changes nothing. */
  learn(urls: readonly string[]): void {
    if (urls.length === 0 || [...urls].sort().join() === [...this.#urls].sort().join()) return;
    this.#place(urls);
    this.#changed(this.#urls);
  }

  /** Orders by a hash of Proxy and node (rendezvous hashing): stable, and different for each Proxy. */
  #place(urls: readonly string[]): void {
    const rank = (url: string): string => createHash('sha256').update(`${this.#name} ${url}`).digest('hex');
    this.#urls = [...urls].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  }
}
