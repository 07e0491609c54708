import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { inLanes, waitFor } from '@sallyport/support';
import { type Branches, SITE_NAMES, type SiteName } from './branches.ts';
import { RawChannel } from './raw-channel.ts';
import { firstPage, page } from './site-pages.ts';
import { say } from './stores.ts';
import { quantile, type Tally } from './tally.ts';

/** Requests that each device may have under way at each site, and how long after one of them the next is sent, ms. */
const AT_ONCE = 8;
const PACE_MS = 160;
/** What is at one site only. */
const OWN: Readonly<Record<SiteName, string>> = { a: 'office', b: 'plant', c: 'lab' };
/** How often each is measured, in turns: what else this machine does falls on one measurement and not on all. */
const PASSES = 5;
/** Channels of one session at one Proxy, sessions that open theirs at once, and how often it is said how many there are. */
const CHANNELS = 17;
const SESSIONS_AT_ONCE = 10;
const SAID_EACH = 100;
/** Above every number that the device of a session has used. */
const FIRST_CHAN_NO = 2 ** 40;
/** The last channel has its grant and what follows on it after this, ms. */
const SETTLED_MS = 1_000;
/** All devices know of another map within this, ms. */
const MAP_WITHIN_MS = 5_000;

/** Processor time that the threads of a process have used, ms. */
function cpuMs(pid: number): number {
  // sched-stats of Linux: the first field is time on a processor, ns.
  const threads = readdirSync(`/proc/${pid}/task`).map((id) => `/proc/${pid}/task/${id}/schedstat`);
  return threads.reduce((sum, file) => sum + Number(readFileSync(file, 'utf8').split(' ')[0]) / 1e6, 0);
}

/** Load at some sites at once. */
interface SiteLoad {
  readonly branches: Branches;
  readonly devices: readonly Device[];
  /** Requests to each of the sites. */
  readonly requests: number;
}

/**
 * Processor time of Proxies for one request, ms, while each of some sites has the same load. The pace is given: what comes at once shares
 * records and calls, so that a request costs less the more there are.
 */
async function costAt(sites: readonly SiteName[], { branches, devices, requests }: SiteLoad): Promise<number> {
  const before = sites.map((site) => cpuMs(branches.pids[site]));
  const lanes = devices.length * AT_ONCE;
  const each = Math.ceil(requests / lanes);
  let failed = 0;
  const lane = async (device: Device, site: SiteName, begunAt: number): Promise<void> => {
    for (let i = 0; i < each; i++) {
      await sleep(Math.max(0, begunAt + i * PACE_MS - performance.now()));
      // On a machine that is busy beyond measure a site may be given up: it is counted, and costs what it did.
      await page(device, OWN[site], '/ada/load').catch(() => (failed += 1));
    }
  };
  const now = performance.now();
  const all = sites.flatMap((site) =>
    devices.flatMap((device) =>
      Array.from({ length: AT_ONCE }, (_, k) => lane(device, site, now + (k * PACE_MS) / AT_ONCE)),
    ),
  );
  await Promise.all(all);
  if (failed > 0) say(`${failed} requests under load came to nothing`);
  const used = sites.reduce((sum, site, i) => sum + cpuMs(branches.pids[site]) - before[i]!, 0);
  return used / (each * lanes * sites.length);
}

/**
 * What one more Proxy brings, at another site that has devices of its own: processor time of a Proxy per request while it works alone by
 * that while two and three work, the median of some passes. Time that a request costs is what capacity is made of, however busy this
 * machine is.
 */
export async function growth(load: SiteLoad, tally: Tally): Promise<void> {
  const { branches } = load;
  branches.putDevices('each');
  for (const device of load.devices) for (const site of SITE_NAMES) await firstPage(device, OWN[site]);
  // Once for nothing: what runs is compiled, channels stand.
  await costAt(SITE_NAMES, load);
  const groups = [['b', 'a'], SITE_NAMES] as const;
  const costs = groups.map(() => ({ apart: [] as number[], together: [] as number[] }));
  for (let pass = 0; pass < PASSES; pass++) {
    const alone = new Map<SiteName, number>();
    for (const site of SITE_NAMES) alone.set(site, await costAt([site], load));
    for (const [i, sites] of groups.entries()) {
      costs[i]!.apart.push(sites.reduce((sum, site) => sum + alone.get(site)!, 0) / sites.length);
      costs[i]!.together.push(await costAt(sites, load));
    }
  }
  for (const [i, { length }] of groups.entries()) {
    const [apart, together] = [quantile(costs[i]!.apart, 0.5), quantile(costs[i]!.together, 0.5)];
    const words = `growth with ${length} Proxies at ${length} sites`;
    tally.numbers[`${words}: processor time per request, ms`] = `${apart.toFixed(3)} alone, ${together.toFixed(3)}`;
    tally.reached(words, Math.round((100 * apart) / together) / 100, 0.85);
  }
  branches.putDevices('b');
}

/** The map changes while so many devices are connected, at all sites: each is told, in seconds. */
export async function changeMap(
  branches: Branches,
  { sessions, tally }: { readonly sessions: number; readonly tally: Tally },
): Promise<void> {
  const channels = await openChannels(branches, sessions);
  await sleep(SETTLED_MS);
  const told = channels.filter(({ stands }) => stands);
  tally.never('channels that ended before the map changed', channels.length - told.length);
  for (const channel of told) channel.heardAt = undefined;
  const begunAt = performance.now();
  const origins = [branches.urlOf('c'), 'wss://c.example'];
  await branches.operator.call(api.sites.put, { params: { name: 'c' }, body: { origins } });
  tally.numbers['the operator has the answer after, ms'] = Math.round(performance.now() - begunAt);
  await waitFor(() => told.every(({ heardAt }) => heardAt !== undefined), 'all devices to hear of the map');
  const times = told.map(({ heardAt }) => heardAt! - begunAt);
  tally.times(`a map reaches ${told.length} devices at three sites`, times);
  tally.within(`a map reaches all of ${told.length} devices`, quantile(times, 1), MAP_WITHIN_MS);
  for (const channel of channels) channel.close();
}

/**
 * Channels of so many sessions at every site. Sessions go side by side; the channels of one come one after the other, because each has a
 * higher number than the one before.
 */
async function openChannels(branches: Branches, sessions: number): Promise<RawChannel[]> {
  const all = sessions * SITE_NAMES.length * CHANNELS;
  let opened = 0;
  const users = Array.from({ length: sessions }, (_, i) => `m${i}`);
  const bySession = await inLanes(users, SESSIONS_AT_ONCE, async (user) => {
    const { device, session } = await branches.device(user);
    device.close();
    const raw = await session();
    const channels: RawChannel[] = [];
    for (let k = 0; k < CHANNELS; k++)
      for (const site of SITE_NAMES) {
        const chanNo = FIRST_CHAN_NO + channels.length;
        channels.push(await RawChannel.open({ url: branches.urlOf(site), site, session: raw, chanNo }));
        opened += 1;
        if (opened % SAID_EACH === 0) say(`${opened} of ${all} channels`);
      }
    return channels;
  });
  return bySession.flat();
}
