import { decodeSessionAsk, deriveEndKey, encodeHint, encodeSessionTold, keyOf } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import type { WebSocketFactory } from '../../src/gateway/socket.ts';
import type { DeviceRecord, StoredSession } from '../../src/kept/record.ts';
import { askStanding } from '../../src/session/session-standing.ts';
import { proxies } from '../proxies.ts';

const crypto = nodeCrypto();
const session: StoredSession = {
  sid: new Uint8Array(16).fill(1),
  secret: keyOf(new Uint8Array(32).fill(1)),
  reservedChanNo: 0,
};
const recordOf = (...origins: string[]): DeviceRecord => ({ realm: 'main', origins, sites: [] }) as never;

/** Proxies that pass on what Security says, but for those that say nothing, or something of their own. */
const webSocket: WebSocketFactory = (url, protocol) => {
  const passOn = proxies((origin, message) => {
    if (origin === 'ws://liar') return encodeHint('SESSION_UNKNOWN');
    const ask = decodeSessionAsk(message);
    const key = deriveEndKey(crypto, origin === 'ws://forger' ? keyOf(new Uint8Array(32)) : session.secret);
    return encodeSessionTold(crypto, key, ask, 'user');
  })(url, protocol);
  return url.startsWith('ws://mute') ? Object.assign(passOn, { send: () => undefined }) : passOn;
};

test('a Proxy that passes nothing on, or says something of its own, keeps nobody from the word of Security', async () => {
  const record = recordOf('ws://mute', 'ws://liar', 'ws://forger', 'ws://good');
  expect(await askStanding({ crypto, webSocket }, record, session)).toBe('user');
});

test('without an answer of Security nothing is known', async () => {
  const record = recordOf('ws://liar', 'ws://forger');
  expect(await askStanding({ crypto, webSocket }, record, session)).toBeUndefined();
});
