import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@sallyport/support';
import { type EarlierVersion, migrationsOf, sdkOf } from '../earlier-version.ts';
import { Farm, type OpenDevice, type Server } from '../farm.ts';
import { postgresTool, say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices, Traffic } from '../traffic.ts';
import { Writes } from '../writes.ts';
import type { Scenario } from './scenario.ts';

/** Devices that sign in and are revoked all the time while versions change, for each version of the SDK. */
const WRITERS_OF_A_VERSION = 2;
/** How long the load balancer takes to see a server up again, ms. */
const SEEN_UP_MS = 1_500;

/** Everything is restarted, one after another, as an operator does for an upgrade; with an earlier version it is one. */
export const rolling: Scenario = {
  about: 'every Proxy, every Security node, the database primary and Redis are restarted in turn under load',
  takesBefore: true,
  short: { sessions: 32, rounds: 1 },
  long: { sessions: 1_000, rounds: 2 },
  async run({ sessions, rounds, before }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 3, journal: true, project: before?.folder });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const open = before && (await sdkOf(before));
    // Every second device has the SDK of the version before.
    const devices = await manyDevices(names, (name) =>
      farm.device(name, names.indexOf(name) % 2 === 1 ? open : undefined),
    );
    const pauseMs = Math.max(250, sessions * 2);
    const traffic = new Traffic({ devices, backend: farm.backend, pauseMs, postShare: 0.3 });
    if (before && open) await changeVersions(farm, tally, { before, open, rounds });
    else for (let round = 0; round < rounds; round++) await restartEverything(farm);
    await sleep(1_000);
    const count = await traffic.stop();
    tally.never('failed requests', count.failed + count.unknown + count.wrongBody);
    tally.never('lost sessions (logins)', count.lostSessions);
    tally.never('requests that ran twice though they must not', count.ranTwice);
    const { liveSessions, degraded, audit } = await farm.status();
    tally.never('sessions that are gone', sessions - liveSessions);
    tally.never('breaks of the audit log', audit.intact ? 0 : 1);
    // Nobody backs this farm up, nor its keys, which is said as long as it lives.
    const remaining = degraded.filter(
      (word) => !word.startsWith('there is no backup') && !word.includes('is in no escrow'),
    );
    tally.never('degraded states that remain', remaining.length);
    tally.numbers['degraded'] = remaining.join('; ');
    tally.numbers['requests'] = count.ok;
    tally.times('request', count.latencies);
    for (const [error, times] of count.errors) tally.numbers[error] = times;
    await farm.stop();
    return tally;
  },
};

/** What versions are changed between, and how often. */
interface Change {
  readonly before: EarlierVersion;
  readonly open: OpenDevice;
  readonly rounds: number;
}

/**
 * The version before goes, this one comes with its schema; then the code goes back, on the schema as it is now, and comes again. People
 * enrol, sign in and are revoked meanwhile.
 */
async function changeVersions(farm: Farm, tally: Tally, { before, open, rounds }: Change): Promise<void> {
  const writes = new Writes(farm, Array(WRITERS_OF_A_VERSION).fill([undefined, open]).flat());
  const known = await migrationsIn(farm);
  tally.never('migrations of this version before the upgrade', missingIn(migrationsOf(before.folder), known).length);
  await upgrade(farm);
  for (let round = 0; round < rounds; round++) {
    await rollBack(farm, before);
    await upgrade(farm);
  }
  const now = await migrationsIn(farm);
  tally.never('migrations that the upgrade did not make', missingIn(now, migrationsOf()).length);
  tally.numbers['the version before'] = before.name;
  tally.numbers['migrations of the upgrade'] = missingIn(known, now).join(', ') || 'none';
  const count = await writes.stop();
  tally.never('enrolments, logins and revocations that failed', count.failed);
  tally.never('sessions with a request after the acknowledgement', count.late);
  tally.atLeast('enrolments', count.enrolments, 1);
  tally.atLeast('logins', count.logins, 1);
  tally.atLeast('revocations', count.revocations, 1);
  tally.numbers['tries to sign in that reached no Proxy'] = count.unreached;
  tally.numbers['requests on their way at the acknowledgement'] = count.onTheWay;
  for (const [error, times] of count.errors) tally.numbers[error] = times;
}

/** Security first, as the operator's guide has it: its start brings the schema. */
async function upgrade(farm: Farm): Promise<void> {
  for (const server of [...farm.nodes, ...farm.proxies]) {
    say(`${server.name} gets this version`);
    await replace(farm, server, undefined);
  }
}

async function rollBack(farm: Farm, { name, folder }: EarlierVersion): Promise<void> {
  for (const server of [...farm.proxies, ...farm.nodes]) {
    say(`${server.name} goes back to ${name}`);
    await replace(farm, server, folder);
  }
}

async function replace(farm: Farm, server: Server, project: string | undefined): Promise<void> {
  await farm.replace(server, project);
  await farm.live();
  await sleep(SEEN_UP_MS);
}

async function migrationsIn({ cluster }: Farm): Promise<readonly string[]> {
  const query = 'select name from schema_migrations order by name';
  const printed = await postgresTool(cluster, 'psql', '-d', 'sallyport', '-Atqc', query);
  return printed.trim().split('\n');
}

function missingIn(some: readonly string[], all: readonly string[]): readonly string[] {
  return all.filter((name) => !some.includes(name));
}

async function restartEverything(farm: Farm): Promise<void> {
  for (const server of [...farm.proxies, ...farm.nodes]) {
    say(`${server.name} is restarted`);
    await replace(farm, server, server.project);
  }
  say('the database switches over to a standby');
  const leader = farm.cluster.hosts[await farm.cluster.getPrimary()]!;
  await farm.cluster.switchover(leader.name);
  await farm.cluster.settled();
  say('the Redis primary is restarted');
  const { server } = (await farm.status()).bus;
  const index = farm.cluster.hosts.findIndex(({ address }) => server.startsWith(`${address}:`));
  await farm.cluster.redis[index]!.end();
  await sleep(4_000);
  farm.cluster.redis[index]!.start();
  await waitFor(() => noHold(farm), 'the end of the hold');
}

/** Behind a switchover leases of the run before may live for a while: the status says so until they are over. */
async function noHold(farm: Farm): Promise<boolean> {
  const { degraded } = await farm.status();
  return !degraded.some((word) => word.includes('start of the database server'));
}
