import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Network, waitFor } from '@sallyport/support';
import { WatchingBackend } from './backend.ts';
import { DrillDevice } from './drill-device.ts';
import { fillRealm } from './fill.ts';
import { EXPORT, exportsIn } from './means.ts';
import { openRealmOf } from './realm-of.ts';
import { Site } from './site.ts';

/** How many sign in beside how large an export. */
export interface LoginSize {
  readonly installations: number;
  /** Devices that sign in again and again. */
  readonly devices: number;
  readonly seed: number;
  /** How often an export is made, ms: longer than one takes, so that there is a time without. */
  readonly everyMs: number;
  /** Exports that are watched. */
  readonly exports: number;
}

/** A sign-in that was answered. Epoch ms. */
interface TimedLogin {
  readonly at: number;
  readonly ms: number;
}

/** From when to when an export was made, epoch ms. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** Between two sign-ins of a device, ms: some for each second, whatever they take. */
const PAUSE_MS = 1_000;
const WITHIN_MS = 3_600_000;

type Say = (text: string) => void;

/** Times sign-ins while exports of a large realm are made by the schedule of the node, and while none is. Gives a table. Needs namespaces of its own. */
export async function timeLogins(size: LoginSize, say: Say): Promise<string> {
  const folder = mkdtempSync('/var/tmp/sallyport-logins-');
  chmodSync(folder, 0o755);
  const backend = await WatchingBackend.start();
  const settings = await EXPORT.prepare(folder, size.everyMs);
  const site = await Site.start(new Network(), folder, { backend: backend.url, settings });
  try {
    await fill(site, size);
    say(`filled with ${size.installations} installations`);
    const { logins, spans } = await watch(site, size, say);
    return tableOf(logins, spans);
  } finally {
    await site.stop();
    backend.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fill(site: Site, { installations, devices, seed }: LoginSize): Promise<void> {
  const realm = await openRealmOf(site.data);
  try {
    await fillRealm(realm.store, realm.keyring, { installations, seed, real: devices });
  } finally {
    await realm.close();
  }
}

/** Signs in until so many exports have been made from now on. */
async function watch(
  site: Site,
  { devices: count, seed, exports }: LoginSize,
  say: Say,
): Promise<{ readonly logins: readonly TimedLogin[]; readonly spans: readonly Span[] }> {
  const link = await site.link();
  const devices: DrillDevice[] = [];
  for (let i = 0; i < count; i++) devices.push(await DrillDevice.open(seed, i, link));
  const logins: TimedLogin[] = [];
  const begunAt = Date.now();
  let over = false;
  const signingIn = devices.map(async (device, i) => {
    await sleep((i * PAUSE_MS) / count);
    for (; !over; await sleep(PAUSE_MS)) {
      const at = Date.now();
      const begun = performance.now();
      await device.login();
      logins.push({ at, ms: performance.now() - begun });
    }
  });
  // One that was begun before, when nobody signed in yet, counts for nothing.
  const spans = (): Span[] => spansIn(site.folder).filter(({ from }) => from > begunAt);
  let seen = 0;
  const enough = (): boolean => {
    const found = spans();
    for (; seen < found.length; seen++)
      say(`an export was made, in ${((found[seen]!.to - found[seen]!.from) / 1_000).toFixed(1)} s`);
    return seen >= exports;
  };
  await Promise.race([Promise.all(signingIn), waitFor(enough, 'the exports', () => '', WITHIN_MS)]);
  over = true;
  await Promise.all(signingIn);
  for (const device of devices) await device.stop();
  return { logins, spans: spans() };
}

function spansIn(folder: string): Span[] {
  return exportsIn(folder).map(({ takenAt, doneAt }) => ({ from: takenAt, to: doneAt }));
}

function tableOf(logins: readonly TimedLogin[], spans: readonly Span[]): string {
  const isDuring = ({ at, ms }: TimedLogin): boolean => spans.some(({ from, to }) => at < to && at + ms > from);
  const rows = [
    rowOf(
      'while no export is made',
      logins.filter((login) => !isDuring(login)),
    ),
    rowOf('while an export is made', logins.filter(isDuring)),
  ];
  const load = readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
  return `| sign-ins | count | p50 | p99 | longest |\n|---|---|---|---|---|\n${rows.join('\n')}\n\nload average at the end: ${load}\n`;
}

function rowOf(what: string, logins: readonly TimedLogin[]): string {
  const sorted = logins.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (part: number): string => {
    const ms = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
    return ms === undefined ? '-' : `${Math.round(ms)} ms`;
  };
  return `| ${what} | ${sorted.length} | ${at(0.5)} | ${at(0.99)} | ${at(1)} |`;
}
