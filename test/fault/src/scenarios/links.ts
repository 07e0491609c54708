import { setTimeout as sleep } from 'node:timers/promises';
import type { TcpFaultProxy, TcpFaults } from '@sallyport/local-cluster';
import { Repeating, randomFrom } from '@sallyport/support';
import { Farm } from '../farm.ts';
import { RevocationRounds } from '../revocation-rounds.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices, Traffic } from '../traffic.ts';
import type { Scenario } from './scenario.ts';

const LINES: readonly (readonly [name: string, faults: Partial<TcpFaults>])[] = [
  ['slow', { latencyMs: 150, jitterMs: 150 }],
  ['a black hole', { blackHole: true }],
  ['breaking off', { breakAfterBytes: 3_000 }],
  ['damaging bytes', { corruptEvery: 700 }],
];
const FAULT_MS = 4_000;
/** How late a piece may be at most: a push overtakes a grant, and beats still have their answers in time. */
const MAX_LATE_MS = 600;

/** Bad lines between Proxies and Security: one at a time, then all of them slow. */
export const links: Scenario = {
  about: 'the lines between Proxies and Security are slow, swallow, break off or damage what they carry',
  short: { sessions: 24, rounds: 12 },
  long: { sessions: 100, rounds: 200 },
  async run({ sessions, rounds, seed }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 2, badLines: true });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    const traffic = new Traffic({ devices, backend: farm.backend, pauseMs: 200, postShare: 0.3 });
    const random = randomFrom(seed);
    for (const [name, faults] of LINES) {
      const line = farm.lines[Math.floor(random() * farm.lines.length)]!;
      say(`the line to one node is ${name}`);
      await withFaults([line], faults);
    }
    say('all lines are reset');
    for (const line of farm.lines) line.resetAll();
    await sleep(2_000);
    const count = await traffic.stop();
    tally.never('failed requests', count.failed + count.unknown + count.wrongBody);
    tally.never('lost sessions (logins)', count.lostSessions);
    tally.numbers['requests'] = count.ok;
    say('all lines are slow while sessions are revoked');
    for (const line of farm.lines) Object.assign(line.faults, { latencyMs: 50, jitterMs: 100 });
    const result = await new RevocationRounds(farm, devices, { seed }).run(rounds);
    tally.never('requests after the acknowledgement of a revocation', result.late);
    tally.times('acknowledgement over slow lines', result.times);
    say('answers and pushes come late, in any order or never, while channels are opened and sessions revoked');
    const late = lateAnswers(farm.lines, random);
    const reopened = await new RevocationRounds(farm, devices, { seed: seed + 1, reopening: true }).run(2 * rounds);
    await late.stop();
    tally.never('late answers and pushes: requests after the acknowledgement', reopened.late);
    tally.times('late answers and pushes: acknowledgement', reopened.times);
    tally.numbers['late answers and pushes: faults'] = late.count;
    for (const line of farm.lines) line.close();
    await farm.stop();
    return tally;
  },
};

async function withFaults(lines: readonly TcpFaultProxy[], faults: Partial<TcpFaults>): Promise<void> {
  for (const line of lines) Object.assign(line.faults, faults);
  await sleep(FAULT_MS);
  for (const line of lines) line.heal();
  await sleep(1_000);
}

/**
 * What Security says is late, each piece by another time, so that a push overtakes the grant that was read before it; or it is
 * lost with its connection, while what a Proxy says still arrives. One after the other at random, until it is stopped.
 */
function lateAnswers(lines: readonly TcpFaultProxy[], random: () => number): Repeating {
  return new Repeating(async () => {
    for (const line of lines) Object.assign(line.faults, { answersOnly: true, jitterMs: MAX_LATE_MS });
    await sleep(random() * FAULT_MS);
    const lost = lines[Math.floor(random() * lines.length)]!;
    lost.faults.blackHole = true;
    await sleep(random() * MAX_LATE_MS);
    lost.resetAll();
    for (const line of lines) line.heal();
    await sleep(MAX_LATE_MS);
  });
}
