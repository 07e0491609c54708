import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BusyLease } from '../busy-lease.ts';
import { CpuQuota } from '../cpu-quota.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import type { Scale, Scenario } from './scenario.ts';

const BUSY_LEASE = fileURLToPath(new URL('../busy-lease.ts', import.meta.url));
const QUOTA = { quotaMs: 7, periodMs: 100 };

/** The lease of a Proxy that has hardly any CPU: it stands still for 93 of 100 ms, anywhere. */
export const quota: Scenario = {
  about: 'a lease with 7 ms of CPU in 100 ms: no pause is taken for a clock step, every step is caught',
  short: { sessions: 0, rounds: 0, minutes: 0.5 },
  long: { sessions: 0, rounds: 0, minutes: 60 },
  async run({ minutes = 1, seed }: Scale) {
    const tally = new Tally();
    const group = new CpuQuota(`sallyport-${process.pid}-${seed}`, QUOTA);
    const child = fork(BUSY_LEASE, [String(minutes), String(seed)]);
    try {
      // Both of its threads have begun: what that costs is not of the quota.
      await once(child, 'message');
      group.add(child.pid!);
      say(`${QUOTA.quotaMs} ms of CPU in ${QUOTA.periodMs} ms, for ${minutes} minutes`);
      const found = await resultOf(child);
      tally.never('clock steps that were not caught', found.missed);
      tally.never('false alarms', found.generations - (found.steps - found.missed));
      tally.never('asks that were refused without a step', found.refusedAsks);
      tally.atLeast('clock steps', found.steps, 1);
      tally.atLeast('pauses by the quota', group.pauses, 60);
      tally.atLeast('pauses that would count as a drift', found.pauses, 60);
      tally.numbers['asks'] = found.asks;
      tally.numbers['longest pause, ms'] = Math.round(found.longestPauseMs);
    } finally {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      group.remove();
    }
    return tally;
  },
};

/** @throws Error when the process ends without a result */
async function resultOf(child: ChildProcess): Promise<BusyLease> {
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the process under quota ended early')));
  child.send('go');
  const [found] = (await Promise.race([once(child, 'message'), ended])) as [BusyLease];
  return found;
}
