import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeviceOpening, encodeText, keyOf, MESSAGE_TYPES, type SessionSecret } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { type Device, siteOf } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { waitFor } from '@sallyport/support';
import { say } from '../stores.ts';
import { quantile, Tally } from '../tally.ts';
import { BRANCH_CONTEXT, type BranchSession, TwoSites } from '../two-sites.ts';
import type { Scenario } from './scenario.ts';

const LINE = { delayMs: 80, mbit: 10 } as const;
const LEASE_MS = 5_000;
/** A look at the lease, and an answer on its way. */
const AFTER_MS = 250;
const MIB = 1_048_576;
/** A session may open 60 channels at a Proxy at once. */
const MAX_OPENINGS = 40;
/** Beats, their answers, and what a device asks of Security: none of it is of a resource. */
const TALK_BYTES_PER_SECOND = 12_000;

/** A branch with a slow line to the main site: its traffic stays there, what Security says goes on as before. */
export const sites: Scenario = {
  about:
    'a branch behind 80 ms and 10 Mbit/s: traffic stays there, sessions and revocations do not change, a cut line ends it in time',
  short: { sessions: 2, rounds: 12 },
  long: { sessions: 40, rounds: 300 },
  async run({ sessions, rounds }) {
    const tally = new Tally();
    say(`two sites, ${LINE.delayMs} ms and ${LINE.mbit} Mbit/s between them`);
    const farm = await TwoSites.start(LINE, LEASE_MS);
    const { device, session } = await farm.device('ada');
    const { sid } = await session();
    say('the branch through its own Proxy, and as with one entry for all sites');
    await compare(farm, device, { tally, rounds });
    say('channels are opened at the branch');
    const other = await farm.device('bob');
    other.device.close();
    const times = await openings(farm, await other.session(), Math.min(rounds, MAX_OPENINGS));
    tally.times('opening a channel at the branch', times);
    // One round trip to Security, and not two.
    tally.within('opening a channel at the branch, p50', quantile(times, 0.5), 1.9 * LINE.delayMs);
    say('sessions are revoked at the main site while the branch works');
    await revocations(farm, tally, sessions);
    say('the line is cut');
    await cutLine(farm, device, tally);
    const same = Buffer.from(sid).equals((await session()).sid);
    tally.never('logins of a device that lost the line and has it back', Number(!same));
    device.close();
    await farm.stop();
    return tally;
  },
};

async function page(
  device: Device,
  name: string,
  path: string,
): Promise<{ readonly ms: number; readonly site: string }> {
  const begunAt = performance.now();
  const response = await device.fetch(`http://${name}.corp${path}`);
  const { byteLength } = await response.arrayBuffer();
  if (!response.ok || byteLength === 0) throw new Error(`${name} answers ${response.status}`);
  return { ms: performance.now() - begunAt, site: siteOf(response) ?? '' };
}

/** The same backend of the branch, near and by the main site: what crosses the line, and how long it takes. */
async function compare(
  farm: TwoSites,
  device: Device,
  { tally, rounds }: { readonly tally: Tally; readonly rounds: number },
): Promise<void> {
  const bytes = Math.min(8, rounds) * MIB;
  for (const [name, site, words] of [
    ['common', 'a', 'by one entry for all'],
    ['plant', 'b', 'near'],
  ] as const) {
    const first = await page(device, name, '/ada/first');
    tally.never(`${words}: pages by another site`, Number(first.site !== site));
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) times.push((await page(device, name, `/ada/${i}`)).ms);
    tally.times(`${words}: a page`, times);
    farm.countLine();
    const { ms } = await page(device, name, `/bytes/${name === 'common' ? MIB : bytes}`);
    const crossed = farm.lineBytes();
    farm.stopCounting();
    tally.numbers[`${words}: Mbit/s`] = Math.round(((name === 'common' ? MIB : bytes) * 8) / ms / 1_000);
    tally.numbers[`${words}: bytes on the line, of ${name === 'common' ? MIB : bytes} of content`] = crossed;
    if (name === 'common') tally.atLeast(`${words}: bytes on the line`, crossed, 2 * MIB);
    else tally.atMost(`${words}: bytes on the line`, crossed, Math.round(TALK_BYTES_PER_SECOND * (2 + ms / 1_000)));
  }
}

/** Opens channels of a session, one after the other, as a device would; ms from HELLO to WELCOME. */
async function openings(farm: TwoSites, session: BranchSession, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await opening(farm.branchUrl, session, 2 ** 40 + i));
  return times;
}

async function opening(url: string, { sid, secret }: BranchSession, chanNo: number): Promise<number> {
  const crypto = serverCrypto();
  const hello = { suite: 1, sid, chanNo, nonce: crypto.randomBytes(16), audience: encodeText('main/b') } as const;
  const made = new DeviceOpening({ crypto, secret: keyOf<SessionSecret>(secret), hello, context: BRANCH_CONTEXT });
  const socket = new WebSocket(`${url}/sallyport/v1`, 'sallyport.1');
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error('the Proxy of the branch is out of reach')));
  });
  const begunAt = performance.now();
  socket.send(Uint8Array.from(made.writeHello()));
  const type = await new Promise<number>((resolve, reject) => {
    socket.addEventListener('message', ({ data }) => resolve(new Uint8Array(data as ArrayBuffer)[0]!));
    socket.addEventListener('close', () => reject(new Error('the Proxy of the branch closes')));
  });
  const ms = performance.now() - begunAt;
  socket.close();
  if (type !== MESSAGE_TYPES.WELCOME) throw new Error(`expected WELCOME, got message ${type}`);
  return ms;
}

async function revocations(farm: TwoSites, tally: Tally, count: number): Promise<void> {
  const [acknowledged, last]: [number[], number[]] = [[], []];
  let late = 0;
  for (let i = 0; i < count; i++) {
    const { device, session } = await farm.device(`u${i}`);
    const sid = Buffer.from((await session()).sid).toString('hex');
    let working = true;
    const work = (async () => {
      while (working) await page(device, 'plant', `/u${i}/x`).catch(() => sleep(20));
    })();
    await waitFor(() => farm.backend.lastRequestAt(sid) !== undefined, 'a request at the branch');
    const begunAt = performance.now();
    const body = { kind: 'session' as const, subject: sid, reason: 'rig' };
    const { inForce } = await farm.operator.call(api.revocations.put, { params: { id: randomUUID() }, body });
    if (!inForce) late += 1;
    const inForceAt = performance.now();
    await sleep(300);
    working = false;
    await work;
    device.close();
    const lastAt = farm.backend.lastRequestAt(sid)!;
    if (lastAt > inForceAt) late += 1;
    acknowledged.push(inForceAt - begunAt);
    last.push(Math.max(0, lastAt - begunAt));
  }
  tally.never('requests at the branch after a revocation was called in force', late);
  tally.times('revocation at the main site: in force', acknowledged);
  tally.times('revocation at the main site: last request at the branch', last);
}

async function cutLine(farm: TwoSites, device: Device, tally: Tally): Promise<void> {
  const served = () =>
    page(device, 'plant', '/ada/cut').then(
      () => true,
      () => false,
    );
  await waitFor(served, 'a page of the branch');
  farm.cut();
  const cutAt = performance.now();
  let lastAt = cutAt;
  while (performance.now() - cutAt < LEASE_MS + 2_000) {
    if (await Promise.race([served(), sleep(500).then(() => false)])) lastAt = performance.now();
    await sleep(20);
  }
  tally.atMost('after the line was cut the branch serves on for, ms', Math.round(lastAt - cutAt), LEASE_MS + AFTER_MS);
  tally.reached('and stops no sooner, ms', Math.round(lastAt - cutAt), LEASE_MS - 2_000);
  farm.heal();
  const healedAt = performance.now();
  await waitFor(served, 'a page of the branch');
  tally.numbers['served again after the line was there, ms'] = Math.round(performance.now() - healedAt);
}
