import { setTimeout as sleep } from 'node:timers/promises';
import { HostileLane, ON_CHANNELS } from '../load/hostile-lane.ts';
import type { FarmDevice } from './farm-device.ts';
import { answerWith } from './players.ts';

/** A hostile device is told where the Proxies are, and with which session it goes there. */
export interface HostileDeviceOrder {
  readonly origins: readonly string[];
  readonly device: FarmDevice;
}

/** A record of 64 KiB so often is 1.3 MB a second for each channel: what a phone sends. */
const STRIKE_MS = 50;
let strikes = 0;
let channels = 0;

/** A session has so many channels at one Proxy. */
const CHANNELS = 4;
/** So long a channel does the same, ms. */
const TURN_MS = 5_000;

/** Does all that a device can do, at every Proxy at once, on as many channels as it may have. */
function attack({ origins, device }: HostileDeviceOrder): void {
  const { sid, secret } = device.record.session!;
  const session = { sid, secret, audience: `${device.record.realm}/${device.record.sites![0]!.name}` };
  const { address: localAddress } = device;
  for (const origin of origins)
    for (let i = 0; i < CHANNELS; i++)
      void keepStriking(new HostileLane(origin, session, { authority: 'honest.corp', localAddress }), i);
}

async function keepStriking(lane: HostileLane, first: number): Promise<never> {
  for (let turn = first; ; turn++) {
    const what = ON_CHANNELS[turn % ON_CHANNELS.length]!;
    const before = lane.channels;
    for (const until = performance.now() + TURN_MS; performance.now() < until; ) {
      await lane.strike(what).catch(() => undefined);
      strikes += 1;
      await sleep(STRIKE_MS);
    }
    channels += lane.channels - before;
  }
}

answerWith(async (order: HostileDeviceOrder | 'tries') => {
  if (order === 'tries') return `${strikes} strikes, ${channels} channels`;
  attack(order);
  return 'begun';
});
