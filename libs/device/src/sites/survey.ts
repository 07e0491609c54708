import type { ProxyPlace } from '../gateway/place.ts';
import { GatewaySocket, type WebSocketFactory } from '../gateway/socket.ts';
import type { Measures } from './measures.ts';

/** A survey begins about so long after a channel stands, ms: first what the user waits for. */
const DELAY_MS = 2_000;

/** What a survey works with. */
export interface SurveyParts {
  readonly webSocket: WebSocketFactory;
  readonly measures: Measures;
  /** Where there is a choice. */
  places(): readonly ProxyPlace[];
}

/**
 * Measures Proxies that were not measured in this network, by a connection that is closed at once: one after the other, each once a
 * day at most, so that a device knows which of equal sites is near before it needs one.
 */
export class Survey {
  readonly #parts: SurveyParts;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #stopped = false;

  constructor(parts: SurveyParts) {
    this.#parts = parts;
  }

  /** Begins soon, if there is anything to measure. */
  begin(): void {
    this.#stopped = false;
    if (this.#running || this.#timer !== undefined || !this.#next()) return;
    this.#timer = setTimeout(() => void this.#run(), DELAY_MS * (0.5 + Math.random()));
    // No process lives on for this.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  /** Measures nothing more until `begin`. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #next(): ProxyPlace | undefined {
    const { measures, places } = this.#parts;
    return places().find(({ origin }) => measures.wants(origin));
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#running = true;
    for (let place = this.#next(); place && !this.#stopped; place = this.#next()) await this.#measure(place);
    this.#running = false;
  }

  async #measure({ origin }: ProxyPlace): Promise<void> {
    const { webSocket, measures } = this.#parts;
    const begunAt = performance.now();
    try {
      const socket = await GatewaySocket.connect(webSocket, origin);
      if (!this.#stopped) measures.connected(origin, performance.now() - begunAt);
      socket.close();
    } catch {
      measures.failed(origin);
    }
  }
}
