import { setTimeout as sleep } from 'node:timers/promises';
import { type Device, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { caughtUp, inLanes } from '@sallyport/support';
import { type Farm, RIG_APP } from './farm.ts';
import type { Operator } from './operator.ts';
import { DELIVERY_MS } from './revocation-rounds.ts';
import { Sending, serving } from './single-session.ts';

/** What is revoked in a round. */
export type RoundKind = 'session' | 'user' | 'installation' | 'app' | 'rights' | 'everything';

/** Of these nobody signs in again, whatever was restored since. */
const LASTING: ReadonlySet<RoundKind> = new Set(['user', 'installation', 'app']);

/** Devices that enrol, or sign in, at a time. */
const AT_ONCE = 4;
/** How long after the last acknowledgement late requests are waited for at least, ms; whoever goes on later is watched for longer. */
const WATCH_MS = 500;

/** Whose round it is. */
export interface RoundOrder {
  readonly kind: RoundKind;
  /** Name of its user, who is nobody else's. */
  readonly who: string;
  /** Version of the app that its device says it has: its own. */
  readonly version: string;
  /** The device sends again so long after each answer, ms. */
  readonly pauseMs?: number | undefined;
}

/**
 * One revocation with its acknowledgement: of a user with a device that sends, before, meanwhile and for as long as it is watched
 * afterwards.
 */
export class WatchedRound {
  readonly #farm: Farm;
  readonly #order: RoundOrder;
  readonly #device: Device;
  #sending: Sending | undefined;
  #session = '';
  #installation = '';
  #askedAt = Number.POSITIVE_INFINITY;
  #acknowledgedAt = Number.POSITIVE_INFINITY;
  #inForce = false;
  #servedMeanwhile = false;

  private constructor(farm: Farm, order: RoundOrder, device: Device) {
    this.#farm = farm;
    this.#order = order;
    this.#device = device;
  }

  /** Enrols the device, which is signed in then, and does nothing yet. */
  static async enrol(farm: Farm, order: RoundOrder): Promise<WatchedRound> {
    const { who, version } = order;
    const device = await farm.device(who, (context) => openDevice(memoryStorage(), () => ({ ...context(), version })));
    return new WatchedRound(farm, order, device);
  }

  get kind(): RoundKind {
    return this.#order.kind;
  }

  get who(): string {
    return this.#order.who;
  }

  /** From asking to the answer, ms. */
  get ackMs(): number {
    return this.#acknowledgedAt - this.#askedAt;
  }

  get inForce(): boolean {
    return this.#inForce;
  }

  /** Whether the device was served after the revocation was asked for, and before the answer: only then somebody had to be waited for. */
  get servedMeanwhile(): boolean {
    return this.#servedMeanwhile;
  }

  /** When its last request reached the backend. */
  get lastRequestAt(): number {
    return this.#farm.backend.lastRequestAt(this.#order.who) ?? 0;
  }

  /** Whether a request of the device, by whatever session, has reached the backend after the acknowledgement until now. */
  get late(): boolean {
    return this.lastRequestAt > this.#acknowledgedAt + DELIVERY_MS;
  }

  /** Signs in anew: the database of before does not know the session. */
  login(): Promise<void> {
    return this.#farm.login(this.#device, this.#order.who);
  }

  send(): void {
    this.#sending = new Sending(this.#device, this.#order.who, this.#order.pauseMs);
  }

  /** Waits until requests of the device reach the backend. */
  served(): Promise<void> {
    return serving(this.#farm, this.#order.who);
  }

  /** Takes note of what the device is known by. */
  note({ id, installation }: { readonly id: string; readonly installation: string }): void {
    this.#session = id;
    this.#installation = installation;
  }

  async revoke(operator: Operator): Promise<void> {
    this.#askedAt = performance.now();
    this.#inForce = await this.#ask(operator);
    await caughtUp();
    this.#acknowledgedAt = performance.now();
    this.#servedMeanwhile = this.lastRequestAt > this.#askedAt + DELIVERY_MS;
  }

  /** Whether who is out for good signs in again all the same. */
  async letIn(): Promise<boolean> {
    const { kind, who } = this.#order;
    if (!LASTING.has(kind)) return false;
    return this.#farm.signsIn(this.#device, who);
  }

  async end(): Promise<void> {
    this.#device.close();
    await this.#sending?.stop();
  }

  async #ask(operator: Operator): Promise<boolean> {
    const { kind, who, version } = this.#order;
    const params = { name: who };
    if (kind === 'user') return (await operator.call(api.users.disable, { params })).inForce;
    if (kind === 'rights') {
      // An answer says that it is in force: there is another one for what is not.
      await operator.call(api.users.put, { params, body: { groups: [] } });
      return true;
    }
    const what = {
      session: { kind, subject: this.#session },
      installation: { kind, subject: this.#installation },
      app: { kind, subject: `${RIG_APP}@${version}` },
      everything: { kind: 'before', subject: 'now' },
    } as const;
    const body = { ...what[kind], reason: 'rig' } as api.BodyOf<typeof api.revocations.put>;
    const { inForce } = await operator.call(api.revocations.put, { params: { id: `rig-${who}` }, body });
    return inForce;
  }
}

/** How the rounds of a cohort are asked for. */
export interface AskingOrder {
  readonly operator: Operator;
  /** They are asked for within this time, in order, ms. */
  readonly spacingMs: number;
  readonly random: () => number;
  /** Done when all are answered. */
  readonly afterwards?: () => void;
}

/** Rounds that go together: their devices send at the same time, and wait for their acknowledgements beside each other. */
export class Cohort {
  readonly rounds: readonly WatchedRound[];
  readonly #farm: Farm;
  readonly #byUser: ReadonlyMap<string, WatchedRound>;

  private constructor(farm: Farm, byUser: ReadonlyMap<string, WatchedRound>) {
    this.#farm = farm;
    this.#byUser = byUser;
    this.rounds = [...byUser.values()];
  }

  /** Enrols the devices of a cohort. */
  static async enrol(farm: Farm, orders: readonly RoundOrder[]): Promise<Cohort> {
    const enrolled = await inLanes(
      orders,
      AT_ONCE,
      async (order) => [order.who, await WatchedRound.enrol(farm, order)] as const,
    );
    return new Cohort(farm, new Map(enrolled));
  }

  /** All of them sign in anew. */
  async login(): Promise<void> {
    await inLanes(this.rounds, AT_ONCE, (round) => round.login());
  }

  /** Begins to send, and waits until all are served. */
  async send(): Promise<void> {
    for (const round of this.rounds) round.send();
    await this.served();
    for (const session of await this.#farm.operator.call(api.sessions.list, { query: { limit: '5000' } }))
      this.#byUser.get(session.user)?.note(session);
  }

  async served(): Promise<void> {
    await Promise.all(this.rounds.map((round) => round.served()));
  }

  /** Revokes all; everything comes last, because it ends the others as well. */
  async revoke({ operator, spacingMs, random, afterwards }: AskingOrder): Promise<void> {
    const last = this.rounds.filter(({ kind }) => kind === 'everything');
    const others = this.rounds.filter(({ kind }) => kind !== 'everything');
    // The first one at once: whoever holds a lease holds it still.
    const asked = others.map(async (round, i) => {
      await sleep(i === 0 ? 0 : random() * spacingMs);
      await round.revoke(operator);
    });
    const behind = last.map(async (round) => {
      await sleep(spacingMs);
      await round.revoke(operator);
    });
    await Promise.all([...asked, ...behind]);
    afterwards?.();
    await sleep(WATCH_MS);
  }

  /** When the last request of any of them reached the backend. */
  get lastRequestAt(): number {
    return Math.max(...this.rounds.map((round) => round.lastRequestAt));
  }

  /** How many are let in again that are out for good. */
  async countLetIn(): Promise<number> {
    const letIn = await inLanes(this.rounds, AT_ONCE, (round) => round.letIn());
    return letIn.filter(Boolean).length;
  }

  async end(): Promise<void> {
    await Promise.all(this.rounds.map((round) => round.end()));
  }
}
