import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { caughtUp } from '@sallyport/support';
import { AUTHORITY, type Farm } from './farm.ts';
import type { Operator } from './operator.ts';
import { DELIVERY_MS } from './revocation-rounds.ts';

/** How long after an acknowledgement a late request is waited for, ms. */
const WATCH_MS = 500;

const FAILED_MS = 50;

/** Sends from a device until it is told to stop, `pauseMs` after each answer; what fails is sent again. */
export class Sending {
  readonly #loop: Promise<void>;
  #stopped = false;

  constructor(device: Device, path: string, pauseMs = 2) {
    this.#loop = this.#run(device, { path, pauseMs });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  async #run(device: Device, { path, pauseMs }: { readonly path: string; readonly pauseMs: number }): Promise<void> {
    for (let number = 0; !this.#stopped; number++) {
      const response = await device.fetch(`http://${AUTHORITY}/${path}/r${number}`).catch(() => undefined);
      await response?.text().catch(() => undefined);
      await sleep(response ? pauseMs : Math.max(FAILED_MS, 10 * pauseMs));
    }
  }
}

/** The session of a user who has one. */
export async function sessionOf(operator: Operator, who: string): Promise<string> {
  const listed = await operator.call(api.sessions.list);
  return listed.find(({ user }) => user === who)!.id;
}

/** Waits until requests of a session reach the backend. */
export async function serving(farm: Farm, session: string): Promise<void> {
  const since = performance.now();
  for (let i = 0; i < 1_200; i++) {
    if ((farm.backend.lastRequestAt(session) ?? 0) > since) return;
    await sleep(50);
  }
  throw new Error('the session is not served');
}

/** What an acknowledgement was worth. */
export interface Acknowledged {
  readonly ackMs: number;
  /** It came without "in force". */
  readonly notInForce: boolean;
  readonly late: boolean;
  readonly lastRequestAt: number;
}

/** Revokes, and watches whether a request of the session comes after the acknowledgement. `afterwards` is done once it came. */
export async function revokeAndWatch(
  farm: Farm,
  session: string,
  { revoke, afterwards }: { readonly revoke: () => Promise<{ inForce: boolean }>; readonly afterwards?: () => void },
): Promise<Acknowledged> {
  const askedAt = performance.now();
  const { inForce } = await revoke();
  await caughtUp();
  const acknowledgedAt = performance.now();
  afterwards?.();
  await sleep(WATCH_MS);
  const lastRequestAt = farm.backend.lastRequestAt(session) ?? 0;
  const late = lastRequestAt > acknowledgedAt + DELIVERY_MS;
  return { ackMs: acknowledgedAt - askedAt, notInForce: !inForce, late, lastRequestAt };
}

/** Revokes a session at a node, or at any. */
export function revokeSession(operator: Operator, session: string): Promise<{ inForce: boolean }> {
  const body = { kind: 'session', subject: session, reason: 'rig' } as const;
  return operator.call(api.revocations.put, { params: { id: `rig-${session.slice(0, 16)}` }, body });
}

/** Somebody who was put out before a disaster, and whose device never stops asking, by whatever Proxies run on. */
export class PutOut {
  readonly #farm: Farm;
  readonly #device: Device;
  readonly #sending: Sending;
  readonly #session: string;
  readonly #who: string;
  #acknowledgedAt = Number.POSITIVE_INFINITY;

  private constructor(farm: Farm, parts: { who: string; device: Device; sending: Sending; session: string }) {
    this.#farm = farm;
    this.#who = parts.who;
    this.#device = parts.device;
    this.#sending = parts.sending;
    this.#session = parts.session;
  }

  /** A user who is served. */
  static async begin(farm: Farm, who: string): Promise<PutOut> {
    const device = await farm.device(who);
    const session = await sessionOf(farm.operator, who);
    const sending = new Sending(device, who);
    await serving(farm, session);
    return new PutOut(farm, { who, device, sending, session });
  }

  /** Puts them out; gives whether that was called in force. */
  async putOut(operator: Operator): Promise<boolean> {
    const { inForce } = await operator.call(api.users.disable, { params: { name: this.#who } });
    await caughtUp();
    if (inForce) this.#acknowledgedAt = performance.now();
    return inForce;
  }

  /** How much of them came through after they were out: requests of the session, and a login. Ends the device. */
  async cameThrough(): Promise<number> {
    const late = (this.#farm.backend.lastRequestAt(this.#session) ?? 0) > this.#acknowledgedAt + DELIVERY_MS;
    const signedIn = await this.#farm.login(this.#device, this.#who).then(
      () => true,
      () => false,
    );
    await this.#sending.stop();
    this.#device.close();
    return Number(late) + Number(signedIn);
  }
}
