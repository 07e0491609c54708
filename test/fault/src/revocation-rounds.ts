import { setTimeout as sleep } from 'node:timers/promises';
import type { Device, DeviceError } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { caughtUp, randomFrom } from '@sallyport/support';
import { AUTHORITY, type Farm } from './farm.ts';
import { say } from './stores.ts';

/** Rounds that run beside each other. */
const AT_ONCE = 4;
/** How long after an acknowledgement a late request is waited for, ms. */
const WATCH_MS = 300;
/**
 * How long the kernel of a machine with too little processor time may take to deliver what was sent before, ms. A Proxy
 * that let requests through would go on doing so: the devices send one every few ms for as long as they are watched.
 */
export const DELIVERY_MS = 5;

/** What the rounds found. */
export interface RevocationResult {
  /** Rounds in which a request reached the backend after the acknowledgement. */
  late: number;
  /** Of those in which one came within the delivery time: counted apart, because a Proxy had sent it before. */
  onTheWay: number;
  /** ms from asking for the revocation to its acknowledgement. */
  readonly times: number[];
}

/** How rounds go. */
export interface RoundOptions {
  readonly seed: number;
  /** A revocation is asked for within this time after its device began to send, ms. */
  readonly spacingMs?: number;
  /** The device opens its channel anew when it begins to send: its grant is under way when the revocation comes. */
  readonly reopening?: boolean;
}

/** Revokes the sessions of devices that send as fast as they can, and watches what still reaches the backend. */
export class RevocationRounds {
  readonly #farm: Farm;
  readonly #devices: [string, Device][];
  readonly #random: () => number;
  readonly #spacingMs: number;
  readonly #reopening: boolean;
  readonly #run = Math.random().toString(36).slice(2);
  readonly #result: RevocationResult = { late: 0, onTheWay: 0, times: [] };

  constructor(farm: Farm, devices: ReadonlyMap<string, Device>, options: RoundOptions) {
    const { seed, spacingMs = 60, reopening = false } = options;
    this.#spacingMs = spacingMs;
    this.#reopening = reopening;
    this.#farm = farm;
    this.#devices = [...devices];
    this.#random = randomFrom(seed);
  }

  async run(rounds: number): Promise<RevocationResult> {
    let begun = 0;
    const worker = async (lane: number): Promise<void> => {
      const mine = this.#devices.filter((_, i) => i % AT_ONCE === lane);
      for (let i = 0; begun < rounds; i++) {
        begun += 1;
        await this.#round(...mine[i % mine.length]!, begun);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, lane) => worker(lane)));
    return this.#result;
  }

  async #round(who: string, device: Device, number: number): Promise<void> {
    const session = await this.#liveSession(who, device);
    if (this.#reopening) reopen(device);
    let stopped = false;
    const sending = [0, 1].map(() => send(device, who, () => stopped));
    await sleep(this.#random() * this.#spacingMs);
    const askedAt = performance.now();
    const body = { kind: 'session', subject: session, reason: 'rig' } as const;
    const id = `${this.#run}-${number}-${session.slice(0, 16)}`;
    const { inForce } = await this.#farm.operator.call(api.revocations.put, { params: { id }, body });
    const time = performance.now() - askedAt;
    await caughtUp();
    const acknowledgedAt = performance.now();
    await sleep(WATCH_MS);
    const last = this.#farm.backend.lastRequestAt(session) ?? 0;
    const lateMs = last - acknowledgedAt;
    if (lateMs > 0) say(`${who}: a request came ${lateMs.toFixed(1)} ms after the acknowledgement`);
    if (!inForce || lateMs > DELIVERY_MS) this.#result.late += 1;
    else if (lateMs > 0) this.#result.onTheWay += 1;
    this.#result.times.push(time);
    stopped = true;
    await Promise.all(sending);
  }

  /** A live session of the device; a channel at a frozen Proxy may stand on one that is over. */
  async #liveSession(who: string, device: Device): Promise<string> {
    for (;;) {
      await signedIn(device);
      const [session] = await this.#sessionsOf(who);
      if (session) return session;
      await device.logout();
    }
  }

  async #sessionsOf(who: string): Promise<string[]> {
    const listed = await this.#farm.operator.call(api.sessions.list);
    return listed.filter(({ user }) => user === who).map(({ id }) => id);
  }
}

/** Opens the channel anew, without waiting for it. */
function reopen(device: Device): void {
  device.close();
  device.resume().catch(() => undefined);
}

/** Signs in again if the last round ended the session; the realm asks for no password. */
async function signedIn(device: Device): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await (device.hasSession ? device.resume() : device.login());
    } catch (error) {
      // Revoked by the last round, but its Proxy could not tell it so.
      if ((error as DeviceError).code === 'SESSION_UNKNOWN') await device.logout();
      else if (attempt === 60) throw error;
      await sleep(200);
    }
  }
}

async function send(device: Device, who: string, stopped: () => boolean): Promise<void> {
  for (let number = 0; !stopped(); number++) {
    const response = await device.fetch(`http://${AUTHORITY}/${who}/r${number}`).catch(() => undefined);
    await response?.text().catch(() => undefined);
    await sleep(response ? 1 : 20);
  }
}
