import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { waitFor } from '@sallyport/support';
import { type Branches, SITE_NAMES, type SiteName } from './branches.ts';
import { RawChannel } from './raw-channel.ts';
import { page } from './site-pages.ts';
import { quantile, type Tally } from './tally.ts';

/** Requests that are under way at once, by each device. */
const AT_ONCE = 8;
/** What Linux counts processor time in (`getconf CLK_TCK`), ms. */
const TICK_MS = 10;
/** Channels of one session at one Proxy. */
const CHANNELS = 17;
/** All devices know of another map within this, ms. */
const MAP_WITHIN_MS = 5_000;

/** Processor time that a process has used, ms. */
function cpuMs(pid: number): number {
  // proc(5): fields 14 and 15, counted behind the name in brackets.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/**
 * What one more Proxy brings, at another site: processor time of Proxies per request with one of them by that with two and with three.
 * Time that a request costs is what capacity is made of, however busy this machine is.
 */
export async function growth(
  branches: Branches,
  {
    devices,
    tally,
    requests,
  }: { readonly devices: readonly Device[]; readonly tally: Tally; readonly requests: number },
): Promise<void> {
  const names: Readonly<Record<SiteName, string>> = { a: 'office', b: 'plant', c: 'lab' };
  const perRequest = async (sites: readonly SiteName[]): Promise<number> => {
    const before = sites.map((site) => cpuMs(branches.pids[site]));
    const each = Math.ceil(requests / devices.length / AT_ONCE);
    await Promise.all(
      devices.flatMap((device, d) =>
        Array.from({ length: AT_ONCE }, async (_, lane) => {
          for (let i = 0; i < each; i++) await page(device, names[sites[(d + lane + i) % sites.length]!], '/ada/load');
        }),
      ),
    );
    const used = sites.reduce((sum, site, i) => sum + cpuMs(branches.pids[site]) - before[i]!, 0);
    return used / (each * AT_ONCE * devices.length);
  };
  // Once for nothing: what runs is compiled, channels stand.
  await perRequest(SITE_NAMES);
  const alone = await perRequest(['b']);
  for (const sites of [['b', 'a'], SITE_NAMES] as const) {
    const together = await perRequest(sites);
    const words = `growth with ${sites.length} Proxies at ${sites.length} sites`;
    tally.numbers[`${words}: processor time per request, ms`] = `${alone.toFixed(3)} and ${together.toFixed(3)}`;
    tally.reached(words, Math.round((100 * alone) / together) / 100, 0.85);
  }
}

/** The map changes while so many devices are connected, at all sites: each is told, in seconds. */
export async function changeMap(
  branches: Branches,
  { sessions, tally }: { readonly sessions: number; readonly tally: Tally },
): Promise<void> {
  const channels: RawChannel[] = [];
  for (let i = 0; i < sessions; i++) {
    const { device, session } = await branches.device(`m${i}`);
    device.close();
    const raw = await session();
    for (const [s, site] of SITE_NAMES.entries())
      for (let k = 0; k < CHANNELS; k++) {
        const chanNo = 2 ** 40 + s * CHANNELS + k;
        channels.push(await RawChannel.open({ url: branches.urlOf(site), site, session: raw, chanNo }));
      }
  }
  await sleep(1_000);
  for (const channel of channels) channel.heardAt = undefined;
  const begunAt = performance.now();
  const origins = [branches.urlOf('c'), 'wss://c.example'];
  await branches.operator.call(api.sites.put, { params: { name: 'c' }, body: { origins } });
  await waitFor(() => channels.every(({ heardAt }) => heardAt !== undefined), 'all devices to hear of the map');
  const times = channels.map(({ heardAt }) => heardAt! - begunAt);
  tally.times(`a map reaches ${channels.length} devices at three sites`, times);
  tally.within(`a map reaches all of ${channels.length} devices`, quantile(times, 1), MAP_WITHIN_MS);
  for (const channel of channels) channel.close();
}
