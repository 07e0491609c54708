import type { Grant } from '@sallyport/security-api';
import { createLog } from '@sallyport/telemetry';
import { expect, test } from 'vitest';
import { type ChannelStart, DeviceChannel } from '../src/device/channel.ts';

const GRANT = { sid: 's', userId: 'u', resources: [], limits: {}, expiresInMs: 60_000, refreshInMs: 60_000 };
const READS = 6;

/** A channel whose rights come at once whenever they are read, and are stale until `follows` says otherwise. */
function channelOf(follows: () => boolean) {
  const reads: number[] = [];
  const lines: string[] = [];
  const grant = GRANT as unknown as Grant;
  const serving = {
    log: createLog('proxy', 'error', { write: (line) => void lines.push(line) }),
    judge: () => (follows() ? 'current' : 'stale'),
    shared: (one: Grant) => one,
    countryOf: () => undefined,
    security: {
      async reauthorise() {
        reads.push(performance.now());
        return { grant, asOfHash: undefined, routes: undefined };
      },
    },
  };
  const listener = { reads: () => undefined, hasRead: () => undefined };
  const socket = {
    bufferedBytes: 0,
    outgoing: (bytes: number) => new Uint8Array(bytes),
    transmit: () => undefined,
  };
  const context = { id: 'a', version: '1' };
  const key = { seal: () => undefined, open: () => undefined };
  const transport = { sending: key, receiving: key };
  const channel = new DeviceChannel({
    serving,
    listener,
    socket,
    grant,
    context,
    transport,
  } as unknown as ChannelStart);
  return { channel, reads, grant, lines };
}

test('a grant that is stale is read again at once; where each one is, with growing pauses', async () => {
  let known = false;
  const { channel, reads, grant } = channelOf(() => known);
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  expect(reads).toHaveLength(1);
  await expect.poll(() => reads.length, { interval: 5 }).toBeGreaterThanOrEqual(READS);
  // 20, 40, 80 and 160 ms between them; a timer may be early by less than one.
  expect(reads[READS - 1]! - reads[0]!).toBeGreaterThan(295);
  known = true;
  await expect.poll(() => channel.standing.rights, { interval: 5 }).toBeGreaterThan(0);
  const settled = reads.length;
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  expect(reads).toHaveLength(settled);
});

test('whoever waits for rights behind one that fails is called all the same', () => {
  const { channel, grant, lines } = channelOf(() => true);
  const called: string[] = [];
  channel.standing.whenReady(() => called.push('first'));
  channel.standing.whenReady(() => {
    throw new Error('a defect of ours');
  });
  channel.standing.whenReady(() => called.push('last'));
  channel.use({ grant, asOfHash: undefined, routes: undefined });
  expect(called).toEqual(['first', 'last']);
  expect(lines).toHaveLength(1);
});
