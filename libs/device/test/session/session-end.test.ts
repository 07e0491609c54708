import { deriveEndKey, encodeHint, encodeSessionEnd, endKeyOf, MESSAGE_TYPES } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test, vi } from 'vitest';
import type { DeviceRecord } from '../../src/index.ts';
import { SessionEnds } from '../../src/session/session-end.ts';
import { proxies } from '../proxies.ts';

const crypto = nodeCrypto();
const sid = new Uint8Array(16).fill(7);
const key = deriveEndKey(crypto, new Uint8Array(32).fill(9));
const ENDED = encodeSessionEnd(crypto, MESSAGE_TYPES.ENDED, endKeyOf(key), sid);
const UNKNOWN = encodeHint('SESSION_UNKNOWN');

/** Proxies by origin: what each answers to an END. */
function stand(answerOf: (origin: string) => Uint8Array, replaced = false) {
  const asked: string[] = [];
  let record = {
    ending: [{ sid, key }],
    sites: [{ name: 's', origins: ['ws://a', 'ws://b'] }],
  } as unknown as DeviceRecord;
  const ends = new SessionEnds({
    crypto,
    webSocket: proxies((origin) => {
      asked.push(origin);
      return answerOf(origin);
    }),
    record: () => record,
    change: async (change) => {
      record = change(record);
    },
    replaced: () => replaced,
  });
  return { ends, asked, left: () => record.ending?.length ?? 0 };
}

test('a hint that the session is not known keeps no other Proxy from being told', async () => {
  const { ends, asked, left } = stand((origin) => (origin === 'ws://a' ? UNKNOWN : ENDED));
  await ends.tell();
  expect(asked).toEqual(['ws://a', 'ws://b']);
  expect(left()).toBe(0);
  ends.stop();
});

test('a hint that the session is not known does not end the telling', async () => {
  let answer = UNKNOWN;
  const { ends, asked, left } = stand(() => answer);
  await ends.tell();
  expect(left()).toBe(1);
  const before = asked.length;
  answer = ENDED;
  await vi.waitFor(() => expect(left()).toBe(0), 90_000);
  expect(asked.length).toBeGreaterThan(before);
  ends.stop();
});

test('a channel of a newer session says that the older one is over', async () => {
  const { ends, left } = stand(() => UNKNOWN, true);
  await ends.tell();
  expect(left()).toBe(0);
  ends.stop();
});
