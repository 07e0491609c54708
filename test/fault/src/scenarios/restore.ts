import { randomFrom } from '@sallyport/support';
import { Farm } from '../farm.ts';
import { leaseToStartIn } from '../going-back.ts';
import { Tally } from '../tally.ts';
import { type GoneBack, LONG_ROUNDS, type Part, RESTORES, SHORT_ROUNDS, TwiceRestored } from '../twice-restored.ts';
import type { WatchedRound } from '../watched-round.ts';
import type { Scenario } from './scenario.ts';

/** Longer than it takes to open a restored database and to start a node: a Proxy that is cut off still holds a lease then. */
const LEASE_MS = 12_000;
/** Of ten restores so many come while a Proxy serves on: a machine may be busy for a moment. */
const OF_TEN = 9;
/** So many restores are shown by one farm, before another one begins. */
const BACKUPS_OF_A_FARM = 4;

/** The database goes back twice, by the operator's own command, while Proxies are cut off or left behind. */
export const restore: Scenario = {
  about:
    'the database goes back, twice, from one backup; Proxies are cut off; a node stays at an old one or starts there again',
  short: { sessions: 1, rounds: SHORT_ROUNDS },
  long: { sessions: 1, rounds: 1_000 },
  roundsOfAFarm: BACKUPS_OF_A_FARM * LONG_ROUNDS,
  async run({ rounds, seed }) {
    const random = randomFrom(seed);
    const isLong = rounds > SHORT_ROUNDS;
    const backups = Math.ceil(rounds / (isLong ? LONG_ROUNDS : SHORT_ROUNDS));
    const leaseMs = await leaseToStartIn(LEASE_MS);
    const farm = await Farm.start({ nodes: 2, proxies: 2, leaseMs, journal: true });
    await farm.lead(farm.proxies[0]!);
    const [done, times]: [GoneBack[], number[]] = [[], []];
    let database = 'sallyport';
    for (let i = 0; i < backups; i++) {
      const startedAt = performance.now();
      if (isLong && i === Math.floor(backups / 2)) await farm.addTwin(farm.proxies[0]!);
      const going = new TwiceRestored(farm, { before: database, number: i, isLong, isLast: i === backups - 1, random });
      done.push(await going.run());
      database = going.lastDatabase;
      times.push(performance.now() - startedAt);
      if (done.some(({ wronglyOpen }) => wronglyOpen > 0)) break;
    }
    await farm.stop();
    return tallyOf(done, times);
  },
};

function tallyOf(done: readonly GoneBack[], times: readonly number[]): Tally {
  const tally = new Tally();
  const rounds = (part: Part): WatchedRound[] => done.flatMap((one) => [...one.rounds[part]]);
  const all = [...rounds('before'), ...rounds('first'), ...rounds('second'), ...rounds('after')];
  const sum = (what: Counted): number => done.reduce((before, one) => before + one[what], 0);
  const holds = done.flatMap((one) => one.holds);
  const restores = RESTORES * done.length;
  tally.never('rounds with requests after the acknowledgement', sum('late'));
  tally.never('answers without "in force"', all.filter(({ inForce }) => !inForce).length);
  tally.never('old or lost databases that a node opened', sum('wronglyOpen'));
  tally.never('"in force" from a node on an old database', sum('wronglyInForce'));
  tally.never('users or devices whom a restore let in again', sum('letIn'));
  tally.atLeast('restores after which the status showed the hold', holds.filter((ms) => ms > 0).length, restores);
  tally.reached('restores after which a Proxy served on', sum('servedOn'), Math.floor((sum('awake') * OF_TEN) / 10));
  const { numbers } = tally;
  numbers['restores'] = restores;
  numbers['acknowledged revocations'] = all.length;
  for (const { kind } of all) numbers[`revoked: ${kind}`] = Number(numbers[`revoked: ${kind}`] ?? 0) + 1;
  numbers['revocations in whose wait the device was served'] = all.filter((round) => round.servedMeanwhile).length;
  for (const one of done)
    for (const [what, count] of Object.entries(one.troubles)) numbers[what] = Number(numbers[what] ?? 0) + count;
  const ackMs = (some: readonly WatchedRound[]): number[] => some.map((round) => round.ackMs);
  tally.times('acknowledgement before a restore', ackMs(rounds('before')));
  tally.times('acknowledgement in the hold of a restore', ackMs([...rounds('first'), ...rounds('second')]));
  tally.times('acknowledgement after both restores', ackMs(rounds('after')));
  tally.times('hold after a restore, as the status says at the start of the node', holds);
  tally.times('a backup with its restores', times);
  return tally;
}

type Counted = { [K in keyof GoneBack]: GoneBack[K] extends number ? K : never }[keyof GoneBack];
