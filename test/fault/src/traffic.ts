import { setTimeout as sleep } from 'node:timers/promises';
import type { Device, DeviceError } from '@sallyport/device';
import { inLanes } from '@sallyport/support';
import type { Backend } from './backend.ts';
import { AUTHORITY } from './farm.ts';

/** How the devices behave. */
export interface TrafficOptions {
  readonly devices: ReadonlyMap<string, Device>;
  readonly backend: Backend;
  /** Pause between two requests of a device, ms. */
  readonly pauseMs: number;
  /** Share of requests that must not run twice. */
  readonly postShare: number;
}

/** What happened to the requests. */
export interface TrafficCount {
  ok: number;
  failed: number;
  /** A request that must not run twice, of which the SDK said that it may have run. */
  unknown: number;
  ranTwice: number;
  wrongBody: number;
  /** Sessions that the device lost: each would cost its user a login. */
  lostSessions: number;
  readonly latencies: number[];
  readonly errors: Map<string, number>;
}

/** Devices that send requests until they are told to stop, each at its own pace. */
export class Traffic {
  readonly count: TrafficCount = {
    ok: 0,
    failed: 0,
    unknown: 0,
    ranTwice: 0,
    wrongBody: 0,
    lostSessions: 0,
    latencies: [],
    errors: new Map(),
  };
  readonly #options: TrafficOptions;
  readonly #loops: Promise<void>[];
  readonly #posts: string[] = [];
  #stopped = false;

  constructor(options: TrafficOptions) {
    this.#options = options;
    for (const device of options.devices.values()) {
      device.on('ended', () => {
        this.count.lostSessions += 1;
      });
    }
    this.#loops = [...options.devices].map(([who, device]) => this.#loop(who, device));
  }

  /** Stops and counts what ran twice. */
  async stop(): Promise<TrafficCount> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    this.count.ranTwice = this.#posts.filter((id) => this.#options.backend.runsOf(id) > 1).length;
    return this.count;
  }

  async #loop(who: string, device: Device): Promise<void> {
    const { pauseMs, postShare } = this.#options;
    await sleep(Math.random() * pauseMs);
    for (let number = 0; !this.#stopped; number++) {
      const id = `${who}-${number}`;
      await this.#request(device, who, id, Math.random() < postShare ? 'POST' : 'GET');
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }

  async #request(device: Device, who: string, id: string, method: 'GET' | 'POST'): Promise<void> {
    const { count } = this;
    const start = performance.now();
    if (method === 'POST') this.#posts.push(id);
    try {
      const body = method === 'POST' ? { body: id } : {};
      const response = await device.fetch(`http://${AUTHORITY}/${who}/${id}`, { method, ...body });
      const text = await response.text();
      if (text === id && response.status === 200) count.ok += 1;
      else count.wrongBody += 1;
      count.latencies.push(performance.now() - start);
    } catch (error) {
      const { code = 'none', mayHaveRun } = error as DeviceError;
      const known = `${method} ${code} ${mayHaveRun ? 'may have run' : 'did not run'}`;
      count.errors.set(known, (count.errors.get(known) ?? 0) + 1);
      // A Proxy that dies with a POST under way leaves an honest "unknown"; everything else is a failure.
      if (method === 'POST' && mayHaveRun) count.unknown += 1;
      else count.failed += 1;
    }
  }
}

/** Makes many devices, a few at a time. */
export async function manyDevices(
  names: readonly string[],
  make: (name: string) => Promise<Device>,
  atOnce = 16,
): Promise<Map<string, Device>> {
  return new Map(await inLanes(names, atOnce, async (name) => [name, await make(name)] as const));
}

/** Closes and opens the channels of some devices again and again, and notes how long opening takes. */
export class Reopener {
  /** ms for each opening, in the order of their ends. */
  readonly times: number[] = [];
  failed = 0;
  readonly #loops: Promise<void>[];
  #stopped = false;

  constructor(devices: Iterable<Device>, pauseMs: number) {
    this.#loops = [...devices].map((device) => this.#loop(device, pauseMs));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(device: Device, pauseMs: number): Promise<void> {
    while (!this.#stopped) {
      device.close();
      const start = performance.now();
      await device.resume().catch(() => {
        this.failed += 1;
      });
      this.times.push(performance.now() - start);
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}
