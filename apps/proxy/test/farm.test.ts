import { createLog, createMetrics } from '@sallyport/telemetry';
import { afterEach, expect, test } from 'vitest';
import type { DeviceChannel } from '../src/device/channel.ts';
import { Farm, type FarmParts } from '../src/device/channels.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A farm with a channel whose rights never come, because Security does not answer; and how often it has beaten at once. */
function readingForEver() {
  const log = createLog('proxy', 'error', { write: () => undefined });
  const farm = new Farm({ log, metrics: createMetrics(), identity: { name: 'p1' } } as unknown as FarmParts);
  let beats = 0;
  farm.useControl({
    lease: { live: true, generation: 0 },
    moved: () => {
      beats += 1;
    },
  } as unknown as Parameters<Farm['useControl']>[0]);
  closing.push(() => farm.drain(0));
  const ended: string[] = [];
  const channel = {
    owner: { sid: 's', installationId: 'i', userId: 'u' },
    end(code: string) {
      ended.push(code);
      farm.forget(channel);
    },
  } as unknown as DeviceChannel;
  return { farm, channel, ended, beats: () => beats };
}

test('a re-read that takes too long ends the channel, and only then its entry is done', async () => {
  const { farm, channel, ended, beats } = readingForEver();
  farm.reads(channel, 7);
  // A later entry, and a refresh that no entry asked for, wait for the same.
  farm.reads(channel, 9);
  farm.reads(channel, undefined);
  expect(farm.done(9)).toBe(6);
  await expect.poll(() => ended).toEqual(['LEASE_LOST']);
  expect(farm.done(9)).toBe(9);
  // Whoever waits for the entry hears of it with the next beat, which goes out at once.
  expect(beats()).toBe(1);
});

test('rights that come in time end nothing', () => {
  const { farm, channel, ended, beats } = readingForEver();
  farm.reads(channel, 7);
  farm.hasRead(channel);
  expect([farm.done(9), ended, beats()]).toEqual([9, [], 1]);
});
