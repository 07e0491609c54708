import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device, DeviceError } from '@sallyport/device';
import { AUTHORITY } from './operator.ts';

/** A backend that says what it was asked for, and counts how often each request ran. */
export class EchoBackend {
  readonly #server: Server;
  readonly #runs: Map<string, number>;

  private constructor(server: Server, runs: Map<string, number>) {
    this.#server = server;
    this.#runs = runs;
  }

  static async listen(host: string, port: number): Promise<EchoBackend> {
    const runs = new Map<string, number>();
    const server = createServer((request, response) => {
      const id = (request.url ?? '').slice(1);
      runs.set(id, (runs.get(id) ?? 0) + 1);
      request.resume();
      response.end(id);
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: 1_024 }, resolve);
    });
    return new EchoBackend(server, runs);
  }

  runsOf(id: string): number {
    return this.#runs.get(id) ?? 0;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** What became of requests. */
export interface LoadCount {
  ok: number;
  failed: number;
  /** Those that must not run twice, of which the SDK said that they may have run: a Proxy died with them. */
  unknown: number;
  ranTwice: number;
  /** Sessions that ended: each would cost its user a login. */
  logins: number;
  longestMs: number;
  /** How often which error came. */
  readonly errors: Map<string, number>;
}

/** Devices that ask again and again; one in five requests is a POST, which must not run twice. */
export class Load {
  readonly #devices: readonly Device[];
  readonly #backend: EchoBackend;
  /** Pause between two requests of a device, ms; it may change. */
  pauseMs: number;
  #count = newCount();
  #posts: string[] = [];
  #number = 0;
  #stopped = false;
  readonly #loops: Promise<void>[];

  constructor(devices: readonly Device[], backend: EchoBackend, pauseMs: number) {
    this.#devices = devices;
    this.#backend = backend;
    this.pauseMs = pauseMs;
    for (const device of devices)
      device.on('ended', () => {
        this.#count.logins += 1;
      });
    this.#loops = devices.map((device) => this.#loop(device));
  }

  /** What happened since it was asked last. */
  take(): LoadCount {
    const count = this.#count;
    count.ranTwice = this.#posts.filter((id) => this.#backend.runsOf(id) > 1).length;
    this.#count = newCount();
    this.#posts = [];
    return count;
  }

  /** Lets requests that are under way end, and closes the devices. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    for (const device of this.#devices) device.close();
  }

  async #loop(device: Device): Promise<void> {
    while (!this.#stopped) {
      await this.#ask(device);
      await sleep(this.pauseMs * (0.5 + Math.random()));
    }
  }

  async #ask(device: Device): Promise<void> {
    this.#number += 1;
    const id = `r${this.#number}`;
    const isPost = this.#number % 5 === 0;
    const began = performance.now();
    if (isPost) this.#posts.push(id);
    try {
      const sent = isPost ? { method: 'POST', body: id } : {};
      const answer = await device.fetch(`http://${AUTHORITY}/${id}`, sent);
      if ((await answer.text()) !== id) throw new Error(`answered ${answer.status}`);
      this.#count.ok += 1;
    } catch (error) {
      this.#failed(error as DeviceError, isPost);
    }
    this.#count.longestMs = Math.max(this.#count.longestMs, performance.now() - began);
  }

  #failed({ code, mayHaveRun, message }: DeviceError, isPost: boolean): void {
    const count = this.#count;
    const words = `${isPost ? 'POST' : 'GET'} ${code} (${message})`;
    count.errors.set(words, (count.errors.get(words) ?? 0) + 1);
    if (isPost && mayHaveRun) count.unknown += 1;
    else count.failed += 1;
  }
}

function newCount(): LoadCount {
  return { ok: 0, failed: 0, unknown: 0, ranTwice: 0, logins: 0, longestMs: 0, errors: new Map() };
}
