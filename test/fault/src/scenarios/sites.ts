import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { waitFor } from '@sallyport/support';
import { Branches } from '../branches.ts';
import { RawChannel, type RawSession } from '../raw-channel.ts';
import { changeMap, growth } from '../site-load.ts';
import { cutMainSite, moveWith, silenceSites } from '../site-moves.ts';
import { firstPage, page } from '../site-pages.ts';
import { say } from '../stores.ts';
import { quantile, Tally } from '../tally.ts';
import type { Scenario } from './scenario.ts';

const LINE = { delayMs: 80, mbit: 10 } as const;
const LOSS = 0.01;
const LEASE_MS = 5_000;
/** A look at the lease, and an answer on its way. */
const AFTER_MS = 250;
const MIB = 1_048_576;
/** A session may open 60 channels at a Proxy at once. */
const MAX_OPENINGS = 40;
/** Beats, their answers, and what devices ask of Security: none of it is of a resource. */
const TALK_BYTES_PER_SECOND = 18_000;
/** A line that is as bad as one may be, how long it is watched, ms, and channels that are opened over it. */
const THIN = { delayMs: 200, mbit: 2, lossShare: LOSS } as const;
const THIN_FOR_MS = 30_000;
const THIN_OPENINGS = 20;
/** So many rounds, and what takes long is shown, too: loss, load, and a thousand devices. */
const LONG_ROUNDS = 50;
const LOAD_REQUESTS = 1_000;
/** Sessions whose channels are a thousand. */
const MANY_SESSIONS = 20;

/** Branches with slow lines to the main site: traffic stays there, what Security says goes on as before, devices go where it works. */
export const sites: Scenario = {
  about:
    'branches behind 80 ms and 10 Mbit/s: traffic stays there, devices move, sites fall silent, and the main site is cut off',
  short: { sessions: 2, rounds: 12 },
  long: { sessions: 40, rounds: 300 },
  async run({ sessions, rounds }) {
    const tally = new Tally();
    say(`three sites, ${LINE.delayMs} ms and ${LINE.mbit} Mbit/s between them`);
    const branches = await Branches.start(LINE, LEASE_MS);
    const ada = await branches.device('ada');
    const { device } = ada;
    const { sid } = await ada.session();
    say('the branch through its own Proxy, and as with one entry for all sites');
    await compare(branches, device, { tally, rounds, lossShare: 0 });
    if (rounds >= LONG_ROUNDS) await compare(branches, device, { tally, rounds, lossShare: LOSS });
    say('channels are opened at the branch');
    const opening = { count: Math.min(rounds, MAX_OPENINGS), user: 'bob', words: 'opening a channel at the branch' };
    const times = await openings(branches, tally, opening);
    tally.within(`${opening.words}, p50`, quantile(times, 0.5), 1.9 * LINE.delayMs);
    say('sessions are revoked at the main site while the branch works');
    await revocations(branches, tally, sessions);
    const changing = { branches, ada, tally, delayMs: LINE.delayMs };
    say('the device moves to the network of the main site in the middle of work, and comes back');
    await moveWith(changing, 'a', true);
    await moveWith(changing, 'b', false);
    say('sites fall silent');
    await silenceSites(changing);
    say('the main site is cut off');
    await cutMainSite(changing, LEASE_MS, AFTER_MS);
    const same = Buffer.from(sid).equals((await ada.session()).sid);
    tally.never('logins of a device that moved, and lost sites and lines', Number(!same));
    if (rounds >= LONG_ROUNDS) await thinLine(branches, device, tally);
    if (rounds >= LONG_ROUNDS) await load(branches, device, tally);
    device.close();
    await branches.stop();
    return tally;
  },
};

async function load(branches: Branches, device: Device, tally: Tally): Promise<void> {
  say('load at one site, at two and at three');
  const others = [await branches.device('carl'), await branches.device('dora')].map((made) => made.device);
  await growth({ branches, devices: [device, ...others], requests: LOAD_REQUESTS }, tally);
  for (const other of others) other.close();
  say('the site map changes while a thousand devices are connected');
  await changeMap(branches, { sessions: MANY_SESSIONS, tally });
}

/** The thinnest line that a branch is sized for: its Proxies lose no lease, and who works there does not notice. */
async function thinLine(branches: Branches, device: Device, tally: Tally): Promise<void> {
  const words = `${THIN.delayMs} ms, ${THIN.mbit} Mbit/s and ${100 * THIN.lossShare} % lost`;
  say(`the line is worse: ${words}`);
  await firstPage(device, 'plant');
  branches.worsen(THIN);
  let [suspended, failed] = [0, 0];
  const ignore = device.on('site', ({ name, reach }) => {
    if (name === 'b' && reach === 'suspended') suspended += 1;
  });
  const times: number[] = [];
  for (const until = performance.now() + THIN_FOR_MS; performance.now() < until; await sleep(20))
    await page(device, 'plant', '/ada/thin').then(
      ({ ms }) => times.push(ms),
      () => (failed += 1),
    );
  tally.never(`${words}: times that a Proxy of the branch had no lease`, suspended);
  tally.never(`${words}: pages of the branch that failed`, failed);
  tally.times(`${words}: a page of the branch`, times);
  await openings(branches, tally, { count: THIN_OPENINGS, user: 'thea', words: `${words}: opening a channel` });
  ignore();
  branches.worsen({ lossShare: 0 });
}

/** The same backend of the branch, near and by the main site: what crosses the line, and how long it takes. */
async function compare(
  branches: Branches,
  device: Device,
  { tally, rounds, lossShare }: { readonly tally: Tally; readonly rounds: number; readonly lossShare: number },
): Promise<void> {
  branches.worsen({ lossShare });
  const bytes = Math.min(8, rounds) * MIB;
  for (const [name, site, way] of [
    ['common', 'a', 'by one entry for all'],
    ['plant', 'b', 'near'],
  ] as const) {
    const words = lossShare === 0 ? way : `${way}, ${100 * lossShare} % lost on the line`;
    const first = await firstPage(device, name);
    tally.never(`${words}: pages by another site`, Number(first.site !== site));
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) times.push((await page(device, name, `/ada/${i}`)).ms);
    tally.times(`${words}: a page`, times);
    const content = name === 'common' ? MIB : bytes;
    branches.countLine();
    const { ms } = await page(device, name, `/bytes/${content}`);
    const crossed = branches.lineBytes();
    branches.stopCounting();
    tally.numbers[`${words}: Mbit/s`] = Math.round((content * 8) / ms / 100) / 10;
    tally.numbers[`${words}: bytes on the line, of ${content} of content`] = crossed;
    if (name === 'common') tally.atLeast(`${words}: bytes on the line`, crossed, 2 * MIB);
    else tally.atMost(`${words}: bytes on the line`, crossed, Math.round(TALK_BYTES_PER_SECOND * (2 + ms / 1_000)));
  }
  branches.worsen({ lossShare: 0 });
}

/** Opens channels of a session at the branch, one after the other; each asks Security once. */
async function openings(
  branches: Branches,
  tally: Tally,
  { count, user, words }: { readonly count: number; readonly user: string; readonly words: string },
): Promise<number[]> {
  const made = await branches.device(user);
  made.device.close();
  const session: RawSession = await made.session();
  // Beats are few: what is watched for a moment only says little of how many fall into the time of many openings.
  const idleMs = count < THIN_OPENINGS ? 1_000 : 6_000;
  const [idle, watchedAt] = [branches.trips, performance.now()];
  await sleep(idleMs);
  const talkPerMs = (branches.trips - idle) / (performance.now() - watchedAt);
  const [begunAt, before] = [performance.now(), branches.trips];
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const channel = await RawChannel.open({ url: branches.urlOf('b'), site: 'b', session, chanNo: 2 ** 40 + i });
    times.push(channel.openedMs);
    channel.close();
  }
  const trips = (branches.trips - before - talkPerMs * (performance.now() - begunAt)) / count;
  tally.times(words, times);
  tally.numbers[`${words}: round trips to Security for each, beside beats`] = Math.round(10 * trips) / 10;
  tally.reached(`${words}: channels for each round trip to Security`, Math.round(100 / trips) / 100, 0.7);
  return times;
}

async function revocations(branches: Branches, tally: Tally, count: number): Promise<void> {
  const [acknowledged, last]: [number[], number[]] = [[], []];
  let late = 0;
  for (let i = 0; i < count; i++) {
    const { device, session } = await branches.device(`u${i}`);
    const sid = Buffer.from((await session()).sid).toString('hex');
    let working = true;
    const work = (async () => {
      while (working) await page(device, 'plant', `/u${i}/x`).catch(() => sleep(20));
    })();
    await waitFor(() => branches.backend.lastRequestAt(sid) !== undefined, 'a request at the branch');
    const begunAt = performance.now();
    const body = { kind: 'session' as const, subject: sid, reason: 'rig' };
    const { inForce } = await branches.operator.call(api.revocations.put, { params: { id: randomUUID() }, body });
    if (!inForce) late += 1;
    const inForceAt = performance.now();
    await sleep(300);
    working = false;
    await work;
    device.close();
    const lastAt = branches.backend.lastRequestAt(sid)!;
    if (lastAt > inForceAt) late += 1;
    acknowledged.push(inForceAt - begunAt);
    last.push(Math.max(0, lastAt - begunAt));
  }
  tally.never('requests at the branch after a revocation was called in force', late);
  tally.times('revocation at the main site: in force', acknowledged);
  tally.times('revocation at the main site: last request at the branch', last);
}
