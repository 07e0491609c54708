import { existsSync } from 'node:fs';
import type { Device } from '@sallyport/device';
import type { Diagnosis, WaitLimits } from '@sallyport/doctor';
import { deviceFile, openCliDevice } from '../device/open.ts';
import { explanationOf } from '../explain.ts';
import type { GlobalOptions } from '../program.ts';
import type { Examination } from './examination.ts';

const SUBJECT = 'this device → gateway';
const QUIET =
  'let the balancer leave connections alone that are quiet for a minute (HAProxy: timeout client, server and tunnel; nginx: proxy_read_timeout)';

/** A machine that is a device itself keeps a channel, and says nothing on it: who ends what is quiet shows here only. */
export function examinationsOfOwnChannel(globals: GlobalOptions): Examination[] {
  if (!existsSync(deviceFile(globals))) return [];
  return [
    async (limits) => {
      const device = await openCliDevice(globals);
      try {
        return device.hasSession ? [await watchChannel(device, limits)] : [];
      } finally {
        device.close();
      }
    },
  ];
}

/** Watches a channel on which nothing is said but the device's own pings, every 25 s. */
export async function watchChannel(
  device: Pick<Device, 'resume' | 'on'>,
  { holdMs }: Pick<WaitLimits, 'holdMs'>,
): Promise<Diagnosis> {
  const failure = { subject: SUBJECT, check: 'channel', state: 'failure' } as const;
  try {
    await device.resume();
  } catch (error) {
    const { words, next = 'see what is wrong with the way of devices: --origin' } = explanationOf(error);
    return { ...failure, words: `no channel opens: ${words}`, next };
  }
  const began = performance.now();
  const left = await untilLeft(device, holdMs);
  if (left === undefined)
    return {
      subject: SUBJECT,
      check: 'channel',
      state: 'ok',
      words: `a quiet channel stays for ${Math.round(holdMs / 1_000)} s`,
    };
  const seconds = Number(((performance.now() - began) / 1_000).toPrecision(2));
  const hop = 'the balancer between devices and Proxies, or a firewall that forgets what is quiet';
  return { ...failure, words: `a quiet channel is cut after ${seconds} s`, hop, next: QUIET };
}

/** The state for which a device leaves its channel; undefined when it keeps it for so long, ms. */
function untilLeft(device: Pick<Device, 'on'>, holdMs: number): Promise<string | undefined> {
  return new Promise((done) => {
    const ended = (state: string | undefined): void => {
      clearTimeout(timer);
      stop();
      done(state);
    };
    const timer = setTimeout(() => ended(undefined), holdMs);
    const stop = device.on('state', ({ state }) => {
      if (state !== 'connected') ended(state);
    });
  });
}
