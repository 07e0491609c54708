import { setTimeout as sleep } from 'node:timers/promises';
import type { Device, DeviceError } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { caughtUp } from '@sallyport/support';
import { AUTHORITY, type Farm, type OpenDevice } from './farm.ts';
import { DELIVERY_MS } from './revocation-rounds.ts';
import { say } from './stores.ts';

/** Sessions of a device before another one is enrolled. */
const SESSIONS_OF_A_DEVICE = 5;
/** A login that reached no Proxy did nothing, and is tried again after so long, ms, so many times: as its user does. */
const AGAIN_MS = 250;
const LOGIN_TRIES = 8;
/** How long after an acknowledgement a late request is waited for, ms. */
const WATCH_MS = 300;

/** What became of the writes. */
export interface WriteCount {
  enrolments: number;
  logins: number;
  revocations: number;
  /** Tries to sign in that reached no Proxy: the load balancer had none at that moment. */
  unreached: number;
  /** Enrolments, logins and revocations that were refused or got no answer. */
  failed: number;
  /** Revoked sessions of which a request came after the acknowledgement. */
  late: number;
  /** Of those that came within the delivery time of a busy kernel. */
  onTheWay: number;
  readonly errors: Map<string, number>;
}

/** Users who come and go until told to stop: each enrols a device, which signs in, sends, and has its session revoked, again and again. */
export class Writes {
  readonly count: WriteCount = {
    ...{ enrolments: 0, logins: 0, revocations: 0, unreached: 0, failed: 0, late: 0, onTheWay: 0 },
    errors: new Map(),
  };
  readonly #farm: Farm;
  readonly #open: readonly OpenDevice[];
  readonly #lanes: Promise<void>[];
  #stopped = false;

  /** Each lane has its way to open devices: the SDK of its version. */
  constructor(farm: Farm, lanes: readonly OpenDevice[]) {
    this.#farm = farm;
    this.#open = lanes;
    this.#lanes = lanes.map((_, lane) => this.#lane(lane));
  }

  async stop(): Promise<WriteCount> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
    return this.count;
  }

  async #lane(lane: number): Promise<void> {
    for (let number = 0; !this.#stopped; number++) {
      const user = `w${lane}-${number}`;
      const device = await this.#attempt('enrolment', () => this.#farm.device(user, this.#open[lane]));
      if (!device) continue;
      this.count.enrolments += 1;
      for (let i = 0; i < SESSIONS_OF_A_DEVICE && !this.#stopped; i++) await this.#session(user, device);
      await device.logout().catch(() => undefined);
      device.close();
    }
  }

  async #session(user: string, device: Device): Promise<void> {
    // What was revoked before is not to be looked at again, whether the device heard of it or not.
    await device.logout().catch(() => undefined);
    const signedIn = await this.#attempt('login', () => this.#signIn(device));
    if (!signedIn) return;
    this.count.logins += 1;
    const listed = await this.#farm.operator.call(api.sessions.list);
    for (const { id } of listed.filter((session) => session.user === user)) await this.#revoke(user, device, id);
  }

  async #signIn(device: Device): Promise<true> {
    for (let tries = 1; ; tries++) {
      try {
        await device.login();
        return true;
      } catch (error) {
        if ((error as DeviceError).code !== 'OFFLINE' || tries === LOGIN_TRIES) throw error;
        this.count.unreached += 1;
        await sleep(AGAIN_MS);
      }
    }
  }

  async #revoke(user: string, device: Device, session: string): Promise<void> {
    let done = false;
    const sending = send(device, user, () => done);
    const body = { kind: 'session', subject: session, reason: 'rig' } as const;
    const order = { params: { id: `writes-${session.slice(0, 24)}` }, body };
    const answer = await this.#attempt('revocation', () => this.#farm.operator.call(api.revocations.put, order));
    await caughtUp();
    const acknowledgedAt = performance.now();
    await sleep(WATCH_MS);
    done = true;
    await sending;
    if (answer === undefined) return;
    this.count.revocations += 1;
    // One may have been on its way; of several, each was sent once the one before it was answered.
    const lateMs = this.#farm.backend.requestsAfter(session, acknowledgedAt).map((at) => at - acknowledgedAt);
    if (lateMs.length > 0)
      say(`${user}: requests came after the acknowledgement, ms: ${lateMs.map((ms) => ms.toFixed(1))}`);
    if (!answer.inForce || lateMs.some((ms) => ms > DELIVERY_MS)) this.count.late += 1;
    else if (lateMs.length > 0) this.count.onTheWay += 1;
  }

  async #attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const { code = String(error) } = error as DeviceError;
      const known = `${what} ${code}`;
      say(known);
      this.count.errors.set(known, (this.count.errors.get(known) ?? 0) + 1);
      this.count.failed += 1;
      return undefined;
    }
  }
}

async function send(device: Device, who: string, done: () => boolean): Promise<void> {
  for (let number = 0; !done(); number++) {
    const response = await device.fetch(`http://${AUTHORITY}/${who}/r${number}`).catch(() => undefined);
    await response?.text().catch(() => undefined);
    await sleep(response ? 2 : 20);
  }
}
