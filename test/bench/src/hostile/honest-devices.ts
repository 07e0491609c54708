import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { serverCrypto } from '@sallyport/channel/sodium';
import { Device, DeviceError, type DeviceWebSocket, memoryStorage } from '@sallyport/device';
import { CONTEXT } from '../load/channel-lane.ts';
import { content } from '../load/lane.ts';
import { type FarmDevice, webSocketFrom } from './farm-device.ts';

/** What honest devices do, and what is measured of each. */
export const KINDS = ['GET', 'upload', 'WebSocket'] as const;
export type Kind = (typeof KINDS)[number];

/** Everything that one device does in a round; rounds begin so often, ms. */
const ROUND_MS = 1_000;
/** Every so many rounds there is an upload, and a visit at the backend that may be hostile. */
const UPLOAD_ROUNDS = 5;
const VISIT_ROUNDS = 5;
const UPLOAD_BYTES = 100_000;
/** No answer for so long is a failure. */
const ANSWER_MS = 60_000;
/** How long a device reads what a backend sends that may be hostile. */
const VISIT_MS = 2_000;
/** What it reads of that at most: a device that reads a flood is busy with it by its own choice. */
const VISIT_BYTES = 200_000;
const UPLOAD: Uint8Array<ArrayBuffer> = Uint8Array.from(content(UPLOAD_BYTES));
const UPLOAD_CRC = String(crc32(UPLOAD));

/** What all devices saw since the last look. */
export interface Seen {
  readonly right: Record<Kind, number>;
  /** Microseconds. */
  readonly latency: Record<Kind, RecordableHistogram>;
  /** What was not right, by what it was. */
  readonly wrong: Record<string, number>;
  readonly failed: Record<string, number>;
  /** Channels that ended and were opened again, and sessions that ended. */
  channelsLost: number;
  sessionsLost: number;
}

export function nothingSeen(): Seen {
  const latency = { GET: createHistogram(), upload: createHistogram(), WebSocket: createHistogram() };
  return {
    right: { GET: 0, upload: 0, WebSocket: 0 },
    latency,
    wrong: {},
    failed: {},
    channelsLost: 0,
    sessionsLost: 0,
  };
}

/** An answer that is not the one to this device's request. */
class WrongAnswer extends Error {}

/** A device that works at a modest pace, and compares every answer with what it asked. */
export class HonestDevice {
  readonly #user: string;
  readonly #device: Device;
  readonly #seen: () => Seen;
  #socket: DeviceWebSocket | undefined;
  #opening: Promise<DeviceWebSocket> | undefined;
  #round = 0;

  private constructor(user: string, device: Device, seen: () => Seen) {
    this.#user = user;
    this.#device = device;
    this.#seen = seen;
    let connected = false;
    device.on('state', ({ state }) => {
      if (connected && state === 'connecting') seen().channelsLost += 1;
      connected ||= state === 'connected';
      if (state === 'connecting') connected = false;
    });
    device.on('ended', () => {
      seen().sessionsLost += 1;
    });
  }

  /** `at` chooses where among the Proxies it connects first. */
  static async open({ user, address, record }: FarmDevice, at: number, seen: () => Seen): Promise<HonestDevice> {
    const storage = memoryStorage();
    const sites = record.sites!.map((site) => ({ ...site, origins: rotated(site.origins, at) }));
    await storage.store({ ...record, sites });
    const webSocket = webSocketFrom(address);
    const device = await Device.open({ storage, crypto: serverCrypto(), webSocket, context: () => CONTEXT });
    await device.resume();
    return new HonestDevice(user, device, seen);
  }

  /** Works until it is told to stop: one round a second, however long the one before takes. */
  async work(stopped: AbortSignal): Promise<void> {
    await sleep(Math.random() * ROUND_MS);
    const rounds: Promise<void>[] = [];
    while (!stopped.aborted) {
      rounds.push(this.#workOnce(this.#round++));
      await sleep(ROUND_MS * (0.9 + 0.2 * Math.random()));
      if (rounds.length > 100) await rounds.shift();
    }
    await Promise.all(rounds);
    this.#device.close();
  }

  async #workOnce(round: number): Promise<void> {
    const work = [this.#count('GET', () => this.#get(round)), this.#count('WebSocket', () => this.#talk(round))];
    if (round % UPLOAD_ROUNDS === 1) work.push(this.#count('upload', () => this.#upload()));
    if (round % VISIT_ROUNDS === 3) work.push(this.#visit());
    await Promise.all(work);
  }

  async #count(kind: Kind, work: () => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    try {
      await work();
      const seen = this.#seen();
      seen.right[kind] += 1;
      seen.latency[kind].record(Math.max(1, Math.round((performance.now() - startedAt) * 1_000)));
    } catch (error) {
      const { wrong, failed } = this.#seen();
      const what = `${kind}: ${error instanceof DeviceError ? error.code : ''} ${(error as Error).message}`;
      const where = error instanceof WrongAnswer ? wrong : failed;
      where[what] = (where[what] ?? 0) + 1;
    }
  }

  async #get(round: number): Promise<void> {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const answer = await this.#device.fetch(`http://honest.corp/page/${round}`, { signal });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    if (!text.startsWith(`${this.#user} /page/${round} `))
      throw new WrongAnswer(`another one's page: ${text.slice(0, 40)}`);
  }

  async #upload(): Promise<void> {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const answer = await this.#device.fetch('http://honest.corp/upload', { method: 'PUT', body: UPLOAD, signal });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    if (text !== `${this.#user} ${UPLOAD_CRC}`) throw new WrongAnswer(`another one's sum: ${text.slice(0, 40)}`);
  }

  /** A message on the WebSocket that stays open, and its echo. */
  async #talk(round: number): Promise<void> {
    const socket = await this.#openSocket();
    const sent = `${round} ${'m'.repeat(round % 500)}`;
    const text = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no echo')), ANSWER_MS);
      const end = (): void => {
        clearTimeout(timer);
        socket.removeEventListener('message', hear);
        socket.removeEventListener('close', lost);
      };
      const hear = (event: Event): void => {
        const heard = String((event as MessageEvent).data);
        // Others of this device may be on their way.
        if (!heard.endsWith(` ${sent}`) && heard.startsWith(`${this.#user} `)) return;
        end();
        resolve(heard);
      };
      const lost = (): void => {
        end();
        reject(socket.failure ?? new Error('the WebSocket was closed'));
      };
      socket.addEventListener('message', hear);
      socket.addEventListener('close', lost);
      socket.send(sent);
    });
    if (text !== `${this.#user} ${sent}`) throw new WrongAnswer(`another one's message: ${text.slice(0, 40)}`);
  }

  #openSocket(): Promise<DeviceWebSocket> {
    if (this.#socket?.readyState === 1) return Promise.resolve(this.#socket);
    this.#opening ??= new Promise<DeviceWebSocket>((resolve, reject) => {
      const socket = this.#device.webSocket('ws://honest.corp/');
      socket.onopen = () => {
        this.#socket = socket;
        resolve(socket);
      };
      socket.onclose = () => reject(socket.failure ?? new Error('the WebSocket was not opened'));
    }).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Looks at what a backend sends that may be hostile: whatever it is, nothing of it counts. */
  async #visit(): Promise<void> {
    try {
      const signal = AbortSignal.timeout(VISIT_MS);
      const answer = await this.#device.fetch('http://hostile.corp/', { signal });
      let left = VISIT_BYTES;
      for await (const part of answer.body ?? []) {
        left -= part.length;
        if (left < 0) break;
      }
    } catch {
      // As promised.
    }
  }
}

function rotated<T>(items: readonly T[], by: number): T[] {
  return items.map((_, i) => items[(i + by) % items.length]!);
}
