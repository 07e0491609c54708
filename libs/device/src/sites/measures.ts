import type { ProxyPlace } from '../gateway/place.ts';
import type { StoredMeasure, StoredNetwork } from '../kept/record.ts';

/** Networks that are remembered, and origins of each, at most; the ones used last. */
const MAX_NETWORKS = 8;
const MAX_ORIGINS = 64;
/** Part of a new value in what is kept: one slow moment does not make a Proxy far. */
const NEW_PART = 0.4;
/** Times differ when one is so much longer, and are all alike below this, ms: what is less says nothing. */
const STEP = 1.5;
const ALIKE_MS = 20;
/** After a failure an origin is tried behind the others for so long, ms. */
const SHUN_MS = 30_000;
/** A measurement is repeated when it is older, ms. */
const STALE_MS = 24 * 3_600_000;

/** What measures work with. */
export interface MeasuresHost {
  /** The app's name of the network that the device is in. */
  network(): string;
  /** What was remembered before. */
  readonly known: readonly StoredNetwork[];
  /** Something changed that is worth remembering. */
  keep(networks: readonly StoredNetwork[]): void;
}

/**
 * How far Proxies are from this device, by network: how long a connection took and how long a ping. What was not measured in a network
 * is never called near. One per device.
 */
export class Measures {
  readonly #host: MeasuresHost;
  #networks: readonly StoredNetwork[];
  /** When an origin failed last, and which worked last; of this process. */
  readonly #failedAt = new Map<string, number>();
  #worked = '';

  constructor(host: MeasuresHost) {
    this.#host = host;
    this.#networks = host.known;
  }

  /** What is known of an origin in the network of this moment; undefined when it was not measured there. */
  of(origin: string): StoredMeasure | undefined {
    return this.#here.find((one) => one.origin === origin);
  }

  /** True when an origin is to be measured in this network: never or long ago, and it did not fail just now. */
  wants(origin: string): boolean {
    const known = this.of(origin);
    return !this.#isShunned(origin) && (known === undefined || Date.now() - known.at > STALE_MS);
  }

  /** A connection was made. */
  connected(origin: string, ms: number): void {
    this.#failedAt.delete(origin);
    const known = this.of(origin);
    const connectMs = smooth(known?.connectMs, ms);
    this.#take({ ...known, origin, connectMs, at: Date.now() }, known);
  }

  /** A channel stands there. */
  worked(origin: string): void {
    this.#failedAt.delete(origin);
    this.#worked = origin;
  }

  /** A ping came back on a channel. */
  pinged(origin: string, ms: number): void {
    const known = this.of(origin);
    if (known) this.#take({ ...known, pingMs: smooth(known.pingMs, ms) }, known);
  }

  /** No channel could be opened there, or one was lost. */
  failed(origin: string): void {
    this.#failedAt.set(origin, performance.now());
    if (this.#worked === origin) this.#worked = '';
  }

  /** The network is another one: what failed in the one before may be near in this. */
  moved(): void {
    this.#failedAt.clear();
  }

  /**
   * The better ones first: what failed just now is last, what was not measured stands behind what was; where nothing differs, what
   * worked last, and else the order in which they came.
   */
  ranked(places: readonly ProxyPlace[]): ProxyPlace[] {
    return places
      .map((place, index) => ({ place, index, rank: this.#rankOf(place.origin) }))
      .sort((a, b) => a.rank - b.rank || this.#behind(a.place) - this.#behind(b.place) || a.index - b.index)
      .map(({ place }) => place);
  }

  /** Where the best of some places stands among others; the lower, the better. */
  rankOf(places: readonly ProxyPlace[]): number {
    return Math.min(Number.POSITIVE_INFINITY, ...places.map(({ origin }) => this.#rankOf(origin)));
  }

  get #here(): readonly StoredMeasure[] {
    const id = this.#host.network();
    return this.#networks.find((network) => network.id === id)?.origins ?? [];
  }

  #behind({ origin }: ProxyPlace): number {
    return origin === this.#worked ? 0 : 1;
  }

  #rankOf(origin: string): number {
    if (this.#isShunned(origin)) return 1_000;
    const known = this.of(origin);
    return known ? stepOf(known.connectMs) : 500;
  }

  /** True when there is none of these places that did not fail just now. */
  areShunned(places: readonly ProxyPlace[]): boolean {
    return places.every(({ origin }) => this.#isShunned(origin));
  }

  #isShunned(origin: string): boolean {
    const failedAt = this.#failedAt.get(origin);
    return failedAt !== undefined && performance.now() - failedAt < SHUN_MS;
  }

  #take(measure: StoredMeasure, before: StoredMeasure | undefined): void {
    const id = this.#host.network();
    const origins = [measure, ...this.#here.filter(({ origin }) => origin !== measure.origin)].slice(0, MAX_ORIGINS);
    this.#networks = [{ id, origins }, ...this.#networks.filter((network) => network.id !== id)].slice(0, MAX_NETWORKS);
    if (isNews(measure, before)) this.#host.keep(this.#networks);
  }
}

/** Storage is written for what would choose otherwise, and not for each ping. */
function isNews(now: StoredMeasure, before: StoredMeasure | undefined): boolean {
  return !before || stepOf(now.connectMs) !== stepOf(before.connectMs) || now.at - before.at > STALE_MS / 2;
}

function smooth(known: number | undefined, ms: number): number {
  return Math.round((known === undefined ? ms : known + NEW_PART * (ms - known)) * 10) / 10;
}

/** Times that hardly differ stand on one step. */
function stepOf(ms: number): number {
  return Math.round(Math.log(Math.max(ms, ALIKE_MS) / ALIKE_MS) / Math.log(STEP));
}
