import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EnrolmentLink } from '@sallyport/channel';
import { revocations, users } from '@sallyport/security-api/admin';
import { caughtUp, inLanes, Network, waitFor } from '@sallyport/support';
import { WatchingBackend } from './backend.ts';
import { SteadyChanges } from './changes.ts';
import { DrillDevice } from './drill-device.ts';
import { fillRealm } from './fill.ts';
import { filledInstallation } from './filled.ts';
import type { Means } from './means.ts';
import { openRealmOf } from './realm-of.ts';
import { Site } from './site.ts';

/** How large a drill is. */
export interface DrillSize {
  readonly installations: number;
  /** Devices that ask for pages all the time. */
  readonly devices: number;
  /** Further devices that come back after the restore, having been nowhere before. */
  readonly sleepers: number;
  readonly seed: number;
  /** How often backups are made, ms. */
  readonly everyMs: number;
  /** How long after a backup the site burns, ms. */
  readonly burnAfterMs: number;
}

/** What a drill found. Times in ms. */
export interface DrillResult {
  readonly means: string;
  readonly size: DrillSize;
  readonly lostMs: number;
  readonly fillMs: number;
  readonly backupMs: number;
  readonly restoreMs: number;
  readonly startMs: number;
  readonly servedMs: number;
  /** From the fire until every device is served. */
  readonly allMs: number;
  /** Sign-ins that each device needed, at most and at least. */
  readonly logins: readonly [least: number, most: number];
  /** Devices that could not come back without enrolling. */
  readonly enrolments: number;
  /** Devices that were revoked, before the fire and after it, and were served after the acknowledgement or the restore. */
  readonly revokedServed: number;
}

/** Devices with a part of their own in the drill, by their numbers. */
const PARTS = { revokedBefore: 0, disabledAfter: 1, revokedSince: 2 } as const;
const LOAD_MS = 3_000;
/** For how long whoever was revoked is watched, and how late what was on its way may come, ms. */
const WATCH_MS = 3_000;
const DELIVERY_MS = 500;
const BACK_WITHIN_MS = 600_000;
const AT_ONCE = 8;

type Say = (text: string) => void;

/** Fills a realm, lets devices work, burns the site down, brings it back, and says what that cost. Needs namespaces of its own. */
export async function runDrill(means: Means, size: DrillSize, say: Say): Promise<DrillResult> {
  const folder = mkdtempSync('/var/tmp/sallyport-drill-');
  chmodSync(folder, 0o755);
  const backend = await WatchingBackend.start();
  try {
    const settings = await means.prepare(folder, size.everyMs);
    const place = { backend: backend.url, settings };
    const site = await Site.start(new Network(), folder, place);
    const drill = new Drill({ means, size, say, site, backend });
    try {
      return await drill.run();
    } finally {
      await drill.stop();
      await site.stop();
    }
  } finally {
    backend.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Revokes something of a device; the same id is the same revocation. */
type Revoke = (i: number, id: string) => Promise<{ readonly inForce: boolean }>;

interface DrillParts {
  readonly means: Means;
  readonly size: DrillSize;
  readonly say: Say;
  readonly site: Site;
  readonly backend: WatchingBackend;
}

/** One run: what happens to the site, in order. */
class Drill {
  readonly #means: Means;
  readonly #size: DrillSize;
  readonly #say: Say;
  readonly #site: Site;
  readonly #backend: WatchingBackend;
  readonly #devices: DrillDevice[] = [];
  /** When the revocation of a device was acknowledged, by its number. */
  readonly #revokedAt = new Map<number, number>();
  #changes: SteadyChanges | undefined;

  constructor({ means, size, say, site, backend }: DrillParts) {
    this.#means = means;
    this.#size = size;
    this.#say = say;
    this.#site = site;
    this.#backend = backend;
  }

  async run(): Promise<DrillResult> {
    const fillMs = await this.#timed('filled', () => this.#fill());
    const link = await this.#site.link();
    await this.#open(link);
    await this.#revoke(PARTS.revokedBefore, (...one) => this.#revokeInstallation(...one));
    this.#changes = new SteadyChanges(() => this.#site.admin);
    await sleep(LOAD_MS);
    const backupMs = await this.#means.keep(this.#site);
    const keptAt = performance.now();
    this.#say(`a backup was made, in ${(backupMs / 1_000).toFixed(1)} s`);
    await sleep(LOAD_MS);
    await this.#revoke(PARTS.disabledAfter, (...one) => this.#disable(...one));
    await sleep(Math.max(LOAD_MS, keptAt + this.#size.burnAfterMs - performance.now()));
    const loginsBefore = this.#devices.map(({ logins }) => logins);
    const burnedAt = this.#burn();
    const restoreMs = await this.#timed('restored', async () => this.#say(await this.#means.restore(this.#site)));
    const startMs = await this.#timed('Security is up', () => this.#site.startSecurity());
    const startedAt = performance.now();
    await this.#site.joinProxy();
    const servedMs = (await this.#untilServed(startedAt, 1)) - burnedAt;
    const allMs = (await this.#untilServed(startedAt, this.#lasting.length)) - burnedAt;
    this.#say(`all devices are served, ${(allMs / 1000).toFixed(1)} s after the fire`);
    const unserved = this.#lasting.filter(({ servedAt }) => servedAt < startedAt).length;
    const logins = this.#lasting.map((device) => device.logins - loginsBefore[this.#devices.indexOf(device)]!);
    const asleep = await this.#wake(link);
    await this.#revoke(PARTS.revokedSince, (...one) => this.#revokeInstallation(...one));
    await sleep(WATCH_MS);
    return {
      means: this.#means.name,
      size: this.#size,
      lostMs: await this.#changes.lostMs(burnedAt),
      fillMs,
      backupMs,
      restoreMs,
      startMs,
      servedMs,
      allMs,
      logins: [Math.min(...logins), Math.max(...logins)],
      enrolments: unserved + asleep,
      revokedServed: this.#countServedAfterRevocation(),
    };
  }

  async stop(): Promise<void> {
    this.#changes?.stop();
    await Promise.all(this.#devices.map((device) => device.stop()));
  }

  /** The devices that nobody revokes. */
  get #lasting(): DrillDevice[] {
    const revoked = new Set<number>(Object.values(PARTS));
    return this.#devices.filter((_, i) => !revoked.has(i));
  }

  async #timed(what: string, work: () => Promise<void>): Promise<number> {
    const begun = performance.now();
    await work();
    const ms = performance.now() - begun;
    this.#say(`${what}, in ${(ms / 1000).toFixed(1)} s`);
    return ms;
  }

  async #fill(): Promise<void> {
    const { installations: count, devices, sleepers, seed } = this.#size;
    const realm = await openRealmOf(this.#site.data);
    try {
      await fillRealm(realm.store, realm.keyring, { installations: count, seed, real: devices + sleepers });
    } finally {
      await realm.close();
    }
  }

  async #open(link: EnrolmentLink): Promise<void> {
    for (let i = 0; i < this.#size.devices; i++) this.#devices.push(await DrillDevice.open(this.#size.seed, i, link));
    for (const device of this.#devices) device.use();
    await this.#until(() => this.#devices.every(({ servedAt }) => servedAt > 0));
    this.#say(`${this.#devices.length} devices are served`);
  }

  #burn(): number {
    this.#changes!.stop();
    this.#site.burn();
    const at = performance.now();
    this.#say('the site is gone');
    this.#site.replaceMachine();
    return at;
  }

  /** Revokes something of a device, asks until it is in force, and notes when that was said. */
  async #revoke(i: number, revoke: Revoke): Promise<void> {
    const id = randomUUID();
    await waitFor(async () => (await revoke(i, id)).inForce, 'a revocation in force');
    await caughtUp();
    this.#revokedAt.set(i, performance.now());
  }

  #revokeInstallation(i: number, id: string): Promise<{ readonly inForce: boolean }> {
    const subject = filledInstallation(this.#size.seed, i);
    const body = { kind: 'installation', subject, reason: 'drill' } as const;
    return this.#site.admin.call(revocations.put, { params: { id }, body });
  }

  #disable(i: number, id: string): Promise<{ readonly inForce: boolean }> {
    return this.#site.admin.call(users.disable, {
      params: { name: this.#devices[i]!.user },
      requestId: id,
      reason: 'drill',
    });
  }

  /** Waits until so many devices were served since a time; gives when that was. */
  async #untilServed(since: number, count: number): Promise<number> {
    const served = (): number[] => this.#lasting.map(({ servedAt }) => servedAt).filter((at) => at > since);
    await this.#until(() => served().length >= count);
    return performance.now();
  }

  /** Waits for something for ten minutes at most. */
  async #until(so: () => boolean): Promise<void> {
    for (const deadline = performance.now() + BACK_WITHIN_MS; !so() && performance.now() < deadline; ) await sleep(50);
  }

  /** Devices that slept all the time come back, each with one sign-in; gives how many could not. */
  async #wake(link: EnrolmentLink): Promise<number> {
    const { devices, sleepers, seed } = this.#size;
    const asleep = Array.from({ length: sleepers }, (_, i) => devices + i);
    const fails = await inLanes(asleep, AT_ONCE, async (i) => {
      const device = await DrillDevice.open(seed, i, link);
      const back = device.login().then(() => device.ask());
      const fail = await back.then(
        () => false,
        () => true,
      );
      await device.stop();
      return fail;
    });
    const failed = fails.filter(Boolean).length;
    this.#say(`${sleepers - failed} of ${sleepers} devices that were nowhere have come back`);
    return failed;
  }

  #countServedAfterRevocation(): number {
    return [...this.#revokedAt].filter(([i, at]) => this.#backend.lastOf(this.#devices[i]!.user) > at + DELIVERY_MS)
      .length;
  }
}
