import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DRIVER_ADDRESS } from '@sallyport/support';

/** A backend that remembers when the last request of everybody came, by the first part of its path. */
export class WatchingBackend {
  readonly url: string;
  readonly #server: Server;
  readonly #last: Map<string, number>;

  private constructor(server: Server, last: Map<string, number>) {
    this.#server = server;
    this.#last = last;
    this.url = `http://${DRIVER_ADDRESS}:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<WatchingBackend> {
    const last = new Map<string, number>();
    const server = createServer((request, response) => {
      const who = (request.url ?? '').split('/')[1] ?? '';
      last.set(who, performance.now());
      request.resume();
      response.end(who);
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, DRIVER_ADDRESS, resolve));
    return new WatchingBackend(server, last);
  }

  /** When the last request of somebody came, by `performance.now()`; -Infinity when none did. */
  lastOf(who: string): number {
    return this.#last.get(who) ?? Number.NEGATIVE_INFINITY;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
