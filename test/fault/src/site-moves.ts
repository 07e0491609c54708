import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@sallyport/support';
import type { BranchDevice, Branches, SiteName } from './branches.ts';
import { codeOf, page, Work } from './site-pages.ts';
import type { Tally } from './tally.ts';

/** A way that falls silent is left within this, and the round trips that finding out takes, ms. */
const LEFT_WITHIN_MS = 2_000;
/** With a probe of the channel that stood, when the platform said that the network changed, ms. */
const PROBE_MS = 2_000;
/** The work before and behind a change, ms. */
const WORK_MS = 400;

/** What changes are shown with. */
export interface Changing {
  readonly branches: Branches;
  readonly ada: BranchDevice;
  readonly tally: Tally;
  readonly delayMs: number;
}

/**
 * A device moves from one site's network to the other's in the middle of work. What it had connections for leads nowhere; nobody signs in,
 * what may run twice goes on, and equal sites are chosen by what is near now.
 */
export async function moveWith(
  { branches, ada, tally, delayMs }: Changing,
  to: SiteName,
  hears: boolean,
): Promise<void> {
  const { device } = ada;
  const words = `moved to the network of ${to}${hears ? '' : ', and not told'}`;
  const work = new Work(device, ['all', 'either']);
  await sleep(WORK_MS);
  branches.move(to);
  ada.network = `of ${to}`;
  const movedAt = performance.now();
  if (hears) device.networkChanged();
  const next = (): number | undefined => work.pages.find(({ at }) => at > movedAt)?.at;
  await waitFor(() => next() !== undefined, 'a page in the other network');
  // What is near is measured when the device has time for it.
  await waitFor(() => work.firstBy('either', to, movedAt) !== undefined, `pages by ${to}`);
  await sleep(WORK_MS);
  tally.never(`${words}: what must not run twice and did`, await work.stop((id) => branches.backend.runsOf(id)));
  tally.never(`${words}: requests that may be repeated and failed`, work.failed.length);
  const firstMs = next()! - movedAt;
  tally.within(`${words}: the first page`, firstMs, (hears ? PROBE_MS : LEFT_WITHIN_MS) + 8 * delayMs);
  tally.numbers[`${words}: pages by the near one of two equal sites after, ms`] = Math.round(
    work.firstBy('either', to, movedAt)! - movedAt,
  );
  tally.numbers[`${words}: uploads that may have run, certainly did not`] = `${work.unknown}, ${work.notRun}`;
}

/** Sites fall silent one after the other: what others have goes on there, what no other has ends with an error that names the site. */
export async function silenceSites({ branches, ada, tally, delayMs }: Changing): Promise<void> {
  const { device } = ada;
  await waitFor(async () => (await page(device, 'all', '/ada/here')).site === 'b', 'a page by the first choice');
  const work = new Work(device, ['all']);
  await sleep(WORK_MS);
  for (const [silent, next] of [
    ['b', 'c'],
    ['c', 'a'],
  ] as const) {
    branches.silence(silent);
    const silentAt = performance.now();
    await waitFor(() => work.firstBy('all', next, silentAt) !== undefined, `a page by ${next}`);
    const ms = work.firstBy('all', next, silentAt)! - silentAt;
    tally.within(`${silent} falls silent: the first page by ${next}`, ms, LEFT_WITHIN_MS + 8 * delayMs);
  }
  const lost = await codeOf(device, 'plant');
  tally.never('an error of a silent site that does not name it', Number(lost.code !== 'SITE_UNAVAILABLE (b)'));
  tally.within('what only a silent site has ends', lost.ms, LEFT_WITHIN_MS + 8 * delayMs);
  branches.heal();
  const healedAt = performance.now();
  device.networkChanged();
  await waitFor(() => work.firstBy('all', 'b', healedAt) !== undefined, 'a page by the first choice again');
  tally.never('silent sites: what must not run twice and did', await work.stop((id) => branches.backend.runsOf(id)));
  tally.never('silent sites: requests that may be repeated and failed', work.failed.length);
  tally.numbers['silent sites: uploads that may have run, certainly did not'] = `${work.unknown}, ${work.notRun}`;
}

/** The main site is cut off: branches serve on to the end of their lease and not longer, say why, and are back without a login. */
export async function cutMainSite({ branches, ada, tally }: Changing, leaseMs: number, afterMs: number): Promise<void> {
  const { device } = ada;
  const served = (): Promise<boolean> =>
    page(device, 'plant', '/ada/cut').then(
      () => true,
      () => false,
    );
  await waitFor(served, 'a page of the branch');
  branches.cutMainSite();
  const cutAt = performance.now();
  let lastAt = cutAt;
  while (performance.now() - cutAt < leaseMs + 2_000) {
    if (await Promise.race([served(), sleep(500).then(() => false)])) lastAt = performance.now();
    await sleep(20);
  }
  const servedMs = Math.round(lastAt - cutAt);
  tally.atMost('the main site is cut off: the branch serves on for, ms', servedMs, leaseMs + afterMs);
  tally.reached('and stops no sooner, ms', servedMs, leaseMs - 2_000);
  const { reach } = device.sites.find(({ name }) => name === 'b')!;
  tally.numbers['and the device knows that the branch is'] = reach;
  tally.never('a branch that stopped and did not say that it waits for Security', Number(reach !== 'suspended'));
  branches.heal();
  const healedAt = performance.now();
  await waitFor(served, 'a page of the branch');
  tally.numbers['served again after the line was there, ms'] = Math.round(performance.now() - healedAt);
}
