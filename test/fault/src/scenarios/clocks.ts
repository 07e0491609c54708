import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { Farm } from '../farm.ts';
import { RevocationRounds } from '../revocation-rounds.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices, Traffic } from '../traffic.ts';
import type { Scenario } from './scenario.ts';

const MINUTES = 60_000;
const YEARS = 365 * 86_400_000;

/** Moves the clock of the devices, which live in this process. */
function shiftDevices(offsetMs: number): void {
  const now = Date.now.bind(Date);
  Date.now = () => now() + offsetMs;
}

/** Wrong clocks everywhere: nothing may change but lines in the log. */
export const clocks: Scenario = {
  about: 'device clocks wrong by years, server clocks by ten minutes in both directions: nothing changes',
  short: { sessions: 24, rounds: 8 },
  long: { sessions: 64, rounds: 100 },
  async run({ sessions, rounds, seed }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 3, proxies: 2 });
    const [, ahead, behind] = farm.nodes;
    for (const servers of [[ahead!, behind!], farm.proxies])
      await Promise.all(
        servers.map((server, i) => farm.restart(server, { clockOffsetMs: (i === 0 ? 10 : -10) * MINUTES })),
      );
    await farm.live();
    shiftDevices(7 * YEARS);
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    say('clocks are wrong');
    const traffic = new Traffic({ devices, backend: farm.backend, pauseMs: 200, postShare: 0.2 });
    await sleep(8_000);
    const count = await traffic.stop();
    tally.never('failed requests', count.failed + count.unknown + count.wrongBody);
    tally.never('lost sessions (logins)', count.lostSessions);
    tally.numbers['requests'] = count.ok;
    await stepClocks(farm, devices, tally);
    const revoked = await new RevocationRounds(farm, devices, { seed }).run(rounds);
    tally.never('requests after the acknowledgement of a revocation', revoked.late);
    tally.times('acknowledgement', revoked.times);
    await signInAgain(devices);
    const body = { kind: 'before', subject: 'now', reason: 'rig' } as const;
    await farm.operator.call(api.revocations.put, { params: { id: `everything-${seed}` }, body });
    const { liveSessions, nodes } = await farm.status();
    tally.never('sessions that "before now" left alive', liveSessions);
    const offsets = nodes.map(({ clockOffsetMs }) => Math.abs(clockOffsetMs)).filter((ms) => ms > 4 * MINUTES);
    tally.atLeast('wrong clocks that the status page shows', offsets.length, 2);
    const warned = farm.nodes.filter(({ process }) => process.log.includes("differs from the database's"));
    tally.atLeast('nodes that said so in their log', warned.length, 2);
    await farm.stop();
    return tally;
  },
};

/** Clocks are set while everything runs: the Proxy drops its channels, because it may have been suspended. */
async function stepClocks(farm: Farm, devices: ReadonlyMap<string, Device>, tally: Tally): Promise<void> {
  say('clocks step by minutes');
  let lost = 0;
  for (const device of devices.values()) device.on('ended', () => (lost += 1));
  for (const server of [...farm.proxies, ...farm.nodes.slice(1)]) server.process.kill('SIGUSR2');
  await sleep(1_000);
  const traffic = new Traffic({ devices, backend: farm.backend, pauseMs: 200, postShare: 0.2 });
  await sleep(4_000);
  const count = await traffic.stop();
  tally.never('failed requests after clocks were set', count.failed + count.unknown + count.wrongBody);
  tally.never('lost sessions (logins) when clocks were set', lost);
}

async function signInAgain(devices: ReadonlyMap<string, { login(): Promise<void> }>): Promise<void> {
  for (const device of devices.values()) await device.login();
}
