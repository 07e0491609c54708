import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import { AUTHORITY, Farm } from '../farm.ts';
import { Backup } from '../going-back.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices } from '../traffic.ts';
import type { Scenario } from './scenario.ts';

/** Longer than it takes to restore and to start the nodes: a Proxy that is cut off still holds a lease after that. */
const LEASE_MS = 40_000;
const WATCH_MS = 500;

interface Round {
  late: number;
  notInForce: number;
  ackMs: number;
  heldShown: boolean;
  /** The Proxy went on with what it knew after the database had gone back. */
  servedOn: boolean;
}

/** The database goes back while the Proxies are cut off, which know nothing of it and serve for their lease. */
export const restore: Scenario = {
  about: 'the database goes back while Proxies are cut off: a revocation is in force only when its lease is over',
  short: { sessions: 4, rounds: 1 },
  long: { sessions: 16, rounds: 20 },
  async run({ sessions, rounds }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 2, leaseMs: LEASE_MS });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    const times: number[] = [];
    const done: Round[] = [];
    for (let i = 0; i < rounds; i++) {
      const [who, device] = [...devices][i % devices.size]!;
      const round = await goBack(farm, who, device);
      done.push(round);
      times.push(round.ackMs);
      for (const other of devices.values()) await again(other);
    }
    tally.never(
      'requests after the acknowledgement',
      sum(done, ({ late }) => late),
    );
    tally.never(
      'answers without "in force"',
      sum(done, ({ notInForce }) => notInForce),
    );
    tally.atLeast(
      'rounds in which the status showed the hold',
      done.filter(({ heldShown }) => heldShown).length,
      rounds,
    );
    tally.atLeast(
      'rounds in which a Proxy served on after that',
      done.filter(({ servedOn }) => servedOn).length,
      rounds,
    );
    tally.times('acknowledgement after a restore', times);
    await farm.stop();
    return tally;
  },
};

function sum(rounds: readonly Round[], of: (round: Round) => number): number {
  return rounds.reduce((all, round) => all + of(round), 0);
}

/** One restore, with a device that goes on at a Proxy that is cut off. */
async function goBack(farm: Farm, who: string, device: Device): Promise<Round> {
  const session = await sessionOf(farm, who);
  const backup = await Backup.take(farm);
  // The log goes on after the backup: its numbers will come again with other entries behind them.
  await farm.operator.call({
    method: 'PUT',
    path: `/v1/revocations/later-${who}-${session.slice(0, 8)}`,
    body: { kind: 'app', subject: `later@${session.slice(0, 8)}`, reason: 'rig' },
  });
  let stopped = false;
  const sending = send(device, () => stopped);
  for (const node of farm.nodes) await node.process.end('SIGKILL');
  for (const proxy of farm.proxies) for (const { host } of farm.nodes) farm.network.cutBetween(proxy.host, host);
  await backup.restore();
  for (const node of farm.nodes) await farm.restart(node);
  const restoredAt = performance.now();
  say('the database went back; the Proxies are cut off and serve on');
  const { log } = (await farm.status()) as unknown as { log: { holdMs: number } };
  const askedAt = performance.now();
  const { inForce } = await farm.operator.call<{ inForce: boolean }>({
    method: 'PUT',
    path: `/v1/revocations/restored-${session.slice(0, 16)}`,
    body: { kind: 'session', subject: session, reason: 'rig' },
  });
  const acknowledgedAt = performance.now();
  await sleep(WATCH_MS);
  const last = farm.backend.lastRequestAt(session) ?? 0;
  stopped = true;
  for (const { host } of farm.proxies) farm.network.heal(host);
  await sending;
  await farm.live();
  return {
    late: last > acknowledgedAt ? 1 : 0,
    notInForce: inForce ? 0 : 1,
    ackMs: acknowledgedAt - askedAt,
    heldShown: log.holdMs > 0,
    servedOn: last > restoredAt,
  };
}

async function sessionOf(farm: Farm, who: string): Promise<string> {
  const listed = await farm.operator.call<{ id: string; user: string }[]>({ method: 'GET', path: '/v1/sessions' });
  return listed.find(({ user }) => user === who)!.id;
}

async function send(device: Device, stopped: () => boolean): Promise<void> {
  for (let number = 0; !stopped(); number++) {
    const response = await device.fetch(`http://${AUTHORITY}/restore/r${number}`).catch(() => undefined);
    await response?.text().catch(() => undefined);
    await sleep(response ? 2 : 50);
  }
}

/** Signs in again: all sessions ended with the restore. */
async function again(device: Device): Promise<void> {
  await device.logout().catch(() => undefined);
  await device.login().catch(() => undefined);
}
