import { Farm, type Server } from '../farm.ts';
import { leaseToStartIn } from '../going-back.ts';
import { type Acknowledged, revokeAndWatch, revokeSession, Sending, serving, sessionOf } from '../single-session.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import type { Scenario } from './scenario.ts';

/** Longer than a Proxy takes to start: the lease of the frozen one lives on when its copy beats. */
const LEASE_MS = 10_000;

/**
 * A Proxy is frozen, and a copy of its folder is started: the same identity beats again and has seen everything. Then the
 * frozen one goes on where it was. A copy of its memory is not made here: that one notices itself by its clocks, which
 * tests of the lease clock and the simulation play.
 */
export const copies: Scenario = {
  about: 'a frozen Proxy goes on after a copy of it took its place: no request after the acknowledgement',
  short: { sessions: 1, rounds: 1 },
  long: { sessions: 1, rounds: 25 },
  async run({ rounds }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 1, leaseMs: await leaseToStartIn(LEASE_MS) });
    const [original] = farm.proxies;
    await farm.lead(original!);
    const done: Acknowledged[] = [];
    for (let i = 0; i < rounds; i++) done.push(await copyOnce(farm, original!, `copied${i}`));
    tally.never('requests after the acknowledgement', done.filter(({ late }) => late).length);
    tally.never('answers without "in force"', done.filter(({ notInForce }) => notInForce).length);
    tally.times(
      'acknowledgement while a lease of the frozen Proxy may live',
      done.map(({ ackMs }) => ackMs),
    );
    await farm.stop();
    return tally;
  },
};

/** Freezes a Proxy in the middle of a user's requests, starts its copy, revokes, and lets it go on. */
async function copyOnce(farm: Farm, original: Server, who: string): Promise<Acknowledged> {
  const device = await farm.device(who);
  const sending = new Sending(device, who);
  const session = await sessionOf(farm.operator, who);
  await serving(farm, session);
  original.process.kill('SIGSTOP');
  const copy = await farm.addTwin(original);
  await farm.ready(copy);
  say('the copy has a lease; the frozen Proxy knows nothing of what comes now');
  const result = await revokeAndWatch(farm, session, {
    revoke: () => revokeSession(farm.operator, session),
    afterwards: () => original.process.kill('SIGCONT'),
  });
  await sending.stop();
  device.close();
  await copy.process.end('SIGKILL');
  return result;
}
