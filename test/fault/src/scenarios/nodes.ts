import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { AUTHORITY, Farm, LEASE_MS } from '../farm.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices, Reopener, Traffic, type TrafficCount } from '../traffic.ts';
import type { Scenario } from './scenario.ts';

const REOPENERS = 8;
/** What a lease lasts less, once nobody renews it: the age of the last beat that was answered, on a machine that is busy. */
const BEATS_MS = 4_000;

/** What one fault did to the traffic. */
async function during(
  farm: Farm,
  devices: ReadonlyMap<string, Device>,
  tally: Tally,
  fault: { readonly name: string; readonly act: () => Promise<void>; readonly pauseMs: number },
): Promise<void> {
  say(fault.name);
  const reopeners = [...devices.values()].slice(0, REOPENERS);
  const sending = new Map([...devices].slice(REOPENERS));
  const traffic = new Traffic({ devices: sending, backend: farm.backend, pauseMs: fault.pauseMs, postShare: 0.2 });
  const reopener = new Reopener(reopeners, 300);
  await sleep(1_000);
  await fault.act();
  await sleep(1_000);
  await reopener.stop();
  const count = await traffic.stop();
  const closed = longest(reopener.times) > LEASE_MS - BEATS_MS ? refusedForLease(count) : 0;
  tally.never(`${fault.name}: failed requests`, count.failed + count.unknown + count.wrongBody - closed);
  tally.never(`${fault.name}: lost sessions (logins)`, count.lostSessions);
  tally.never(`${fault.name}: channels that could not be opened`, reopener.failed);
  tally.numbers[`${fault.name}: requests`] = count.ok;
  tally.times(`${fault.name}: request`, count.latencies);
  tally.times(`${fault.name}: opening a channel`, reopener.times);
  for (const [error, times] of count.errors) tally.numbers[`${fault.name}: ${error}`] = times;
}

function longest(times: readonly number[]): number {
  return times.reduce((one, other) => Math.max(one, other), 0);
}

/** With too little processor time a failover may outlast the lease: then Proxies have to stop, and a request with them. */
function refusedForLease({ errors }: TrafficCount): number {
  return [...errors].reduce((sum, [error, times]) => (error.includes(' LEASE_LOST ') ? sum + times : sum), 0);
}

/** Kills, freezes and cuts off Security nodes and the primary of the database under traffic. */
export const nodes: Scenario = {
  about: 'Security nodes and the database primary are lost under traffic: no login, no failed request',
  short: { sessions: 32, rounds: 1 },
  long: { sessions: 1_000, rounds: 1 },
  async run({ sessions }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 3, proxies: 4 });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    say(`${sessions} sessions`);
    const pauseMs = Math.max(250, sessions * 2);
    const [first, second, third] = farm.nodes as [Node, Node, Node];
    const fault = (name: string, act: () => Promise<void>) => during(farm, devices, tally, { name, act, pauseMs });

    await fault('a Security node is killed', async () => {
      await first.process.end('SIGKILL');
      await sleep(3_000);
    });
    await farm.restart(first);
    await fault('a Security node freezes and comes back', async () => {
      second.process.kill('SIGSTOP');
      await sleep(5_000);
      second.process.kill('SIGCONT');
      await sleep(1_000);
    });
    await fault('the host of a Security node is cut off and comes back', async () => {
      farm.network.cut(third.host);
      await sleep(5_000);
      farm.network.heal(third.host);
      await sleep(1_000);
    });
    await fault('the host of the database primary is cut off and killed', async () => {
      const host = farm.cluster.hosts[await farm.cluster.getPrimary()]!;
      farm.network.cut(host);
      farm.network.killHost(host);
      await farm.cluster.settled(2);
      await sleep(2_000);
    });
    const { liveSessions, audit } = await farm.status();
    tally.never('sessions that are no longer listed', sessions - liveSessions);
    tally.never('breaks of the audit log', audit.intact ? 0 : 1);
    tally.never('sessions that cannot be revoked', await revokeSome(farm, 20));
    await loseForGood(farm, third, tally);
    await farm.stop();
    return tally;
  },
};

type Node = Farm['nodes'][number];

/** A host that is lost closes none of its connections: what it costs a device that is new, and an operator who was connected there. */
async function loseForGood(farm: Farm, node: Node, tally: Tally): Promise<void> {
  say('the host of a Security node is lost for good');
  const operator = farm.operatorAt(node);
  await operator.once(api.status.get);
  const { device, enter } = await farm.newcomer('late');
  farm.network.cut(node.host);
  farm.network.killHost(node.host);
  const cutAt = performance.now();
  const left = operator.once(api.status.get).then(
    () => 'was answered',
    (error: Error) => error.message,
  );
  await enter();
  await (await device.fetch(`http://${AUTHORITY}/late/1`)).text();
  tally.times('a host is lost for good: first page of a new device', [performance.now() - cutAt]);
  device.close();
  const isNoticed = /its host is gone/.test(await left);
  tally.never('operators who wait for an answer of a host that is gone', isNoticed ? 0 : 1);
  tally.times('a host is lost for good: an operator hears of it', [performance.now() - cutAt]);
  await operator.close();
}

async function revokeSome(farm: Farm, count: number): Promise<number> {
  const listed = await farm.operator.call(api.sessions.list);
  let failed = 0;
  for (const { id } of listed.slice(0, count)) {
    const body = { kind: 'session', subject: id, reason: 'rig' } as const;
    const params = { id: `rig-session-${id}` };
    const { inForce } = await farm.operator.call(api.revocations.put, { params, body });
    if (!inForce) failed += 1;
  }
  return failed;
}
