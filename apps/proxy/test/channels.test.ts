import { createLog, createMetrics } from '@sallyport/telemetry';
import { afterEach, expect, test } from 'vitest';
import type { DeviceChannel } from '../src/device/channel.ts';
import { Channels } from '../src/device/channels.ts';
import { Serving, type ServingParts } from '../src/serving/serving.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Channels, with one whose rights never come, because Security does not answer; and how often it has beaten at once. */
function readingForEver() {
  const log = createLog('proxy', 'error', { write: () => undefined });
  const metrics = createMetrics();
  const serving = new Serving({ log, metrics, identity: { name: 'p1' } } as unknown as ServingParts);
  const channels = new Channels(serving, metrics);
  let beats = 0;
  serving.useControl({
    lease: { live: true, generation: 0 },
    moved: () => {
      beats += 1;
    },
  } as unknown as Parameters<Serving['useControl']>[0]);
  closing.push(() => channels.drain(0));
  const ended: string[] = [];
  const channel = {
    owner: { sid: 's', installationId: 'i', userId: 'u' },
    end(code: string) {
      ended.push(code);
      channels.forget(channel);
    },
  } as unknown as DeviceChannel;
  return { channels, channel, ended, beats: () => beats };
}

test('a re-read that takes too long ends the channel, and only then its entry is done', async () => {
  const { channels, channel, ended, beats } = readingForEver();
  channels.reads(channel, 7);
  // A later entry, and a refresh that no entry asked for, wait for the same.
  channels.reads(channel, 9);
  channels.reads(channel, undefined);
  expect(channels.done(9)).toBe(6);
  await expect.poll(() => ended).toEqual(['LEASE_LOST']);
  expect(channels.done(9)).toBe(9);
  // Whoever waits for the entry hears of it with the next beat, which goes out at once.
  expect(beats()).toBe(1);
});

test('rights that come in time end nothing', () => {
  const { channels, channel, ended, beats } = readingForEver();
  channels.reads(channel, 7);
  channels.hasRead(channel);
  expect([channels.done(9), ended, beats()]).toEqual([9, [], 1]);
});

test('while the site is emptied nobody new is taken, devices are told to move on, and it can be taken back', async () => {
  const { channels } = readingForEver();
  const told: string[] = [];
  const failed: unknown[] = [];
  const channelOf = (name: string): DeviceChannel =>
    ({
      owner: { sid: name, installationId: name, userId: name },
      grant: { limits: {} },
      streamCount: 0,
      drain: () => void told.push(name),
      sweep: () => undefined,
      resume: () => undefined,
      end: () => undefined,
      fail: (error: unknown) => void failed.push(error),
    }) as unknown as DeviceChannel;
  channels.keep(channelOf('a'));
  channels.siteDrained(false);
  expect(channels.draining).toBe(false);
  channels.siteDrained(true);
  channels.siteDrained(true);
  expect(channels.draining).toBe(true);
  // A channel that was being opened meanwhile.
  channels.keep(channelOf('b'));
  await expect.poll(() => told.toSorted()).toEqual(['a', 'b']);
  channels.siteDrained(false);
  expect(channels.draining).toBe(false);
  channels.keep(channelOf('c'));
  channels.siteDrained(true);
  channels.siteDrained(false);
  expect(told).toHaveLength(2);
  expect(failed).toEqual([]);
});
