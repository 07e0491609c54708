import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import { caughtUp } from '@sallyport/support';

/** When a person was served last, ms of one clock. */
export interface Served {
  /** The last request that their backend got. */
  lastRequest: number;
  /** The last byte of a running download that reached their device. */
  lastByte: number;
}

/** A backend that knows when it served whom, and drips a download that never ends. */
export class WatchedBackend {
  readonly served = new Map<string, Served>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<WatchedBackend> {
    const server = createServer();
    const backend = new WatchedBackend(server);
    server.on('request', (request, response) => {
      const who = String(request.headers['x-id']);
      if (request.url !== '/drip') {
        backend.of(who).lastRequest = performance.now();
        return void response.end('ok');
      }
      response.writeHead(200);
      const timer = setInterval(() => response.write('drop '), 10);
      response.on('close', () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return backend;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  of(who: string): Served {
    const served = this.served.get(who) ?? { lastRequest: 0, lastByte: 0 };
    this.served.set(who, served);
    return served;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Somebody who works: a request after the other, and a download beside them, until they are out. */
export class Worker {
  readonly name: string;
  readonly #device: Device;
  readonly #backend: WatchedBackend;
  #over = false;
  #ends: Promise<unknown> = Promise.resolve();

  constructor(name: string, device: Device, backend: WatchedBackend) {
    this.name = name;
    this.#device = device;
    this.#backend = backend;
  }

  /** Starts to work; resolves when requests are served and bytes arrive. */
  async start(): Promise<void> {
    this.#ends = Promise.all([this.#ask(), this.#download()]);
    const served = this.#backend.of(this.name);
    while (served.lastRequest === 0 || served.lastByte === 0) await sleep(5);
  }

  /** Waits until both have ended of themselves, after they were put out. */
  async ended(): Promise<Served> {
    await this.#ends;
    this.#device.close();
    return this.#backend.of(this.name);
  }

  async #ask(): Promise<void> {
    while (!this.#over) {
      const { status } = await this.#device
        .fetch('http://desk.corp/', { headers: { 'x-id': this.name } })
        .catch(() => ({ status: 0 }));
      if (status !== 200) break;
      await sleep(3);
    }
    this.#over = true;
  }

  async #download(): Promise<void> {
    try {
      const response = await this.#device.fetch('http://desk.corp/drip', { headers: { 'x-id': this.name } });
      for await (const _ of response.body as unknown as AsyncIterable<Uint8Array>)
        this.#backend.of(this.name).lastByte = performance.now();
    } catch {
      // Cut off: that is what this is about.
    }
    this.#over = true;
  }
}

/** One leaver: how long the acknowledgement took, and what was served after it, ms; at most 0 when nothing was. */
export interface Leaving {
  readonly acknowledgedMs: number;
  readonly requestAfterMs: number;
  readonly byteAfterMs: number;
  /** From the order to the last byte. */
  readonly lastByteMs: number;
}

/** Puts a worker out and watches what they still get. */
export async function watchLeaving(worker: Worker, putOut: () => Promise<unknown>): Promise<Leaving> {
  await worker.start();
  const at = performance.now();
  await putOut();
  await caughtUp();
  const acknowledged = performance.now();
  const { lastRequest, lastByte } = await worker.ended();
  return {
    acknowledgedMs: acknowledged - at,
    requestAfterMs: lastRequest - acknowledged,
    byteAfterMs: lastByte - acknowledged,
    lastByteMs: lastByte - at,
  };
}
