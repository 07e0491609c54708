import { encodeHint, type HintCode } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test, vi } from 'vitest';
import { Connection, type ConnectionHost } from '../src/connection.ts';
import type { DeviceRecord, StoredSession } from '../src/record.ts';
import type { WebSocketLike } from '../src/socket.ts';

const CONTEXT = {
  id: 'test',
  version: '1',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '1',
  osPatch: '',
  model: 'test',
  posture: {},
  sdk: 'test',
};

test('a hint that the session is not known counts only after every Proxy was asked', async () => {
  const hints: Readonly<Record<string, HintCode>> = { 'ws://a': 'SESSION_UNKNOWN', 'ws://b': 'BUSY' };
  const asked: string[] = [];
  const session: StoredSession = {
    sid: new Uint8Array(16),
    secret: new Uint8Array(32),
    reservedChanNo: 64,
  };
  const record = { realm: 'main', session, sites: [{ name: 's', origins: Object.keys(hints) }] };
  const over = vi.fn();
  const connection: Connection = new Connection({
    crypto: nodeCrypto(),
    webSocket: (url) => {
      const { origin } = new URL(url);
      const socket = Object.assign(new EventTarget(), {
        binaryType: '',
        bufferedAmount: 0,
        close: () => undefined,
        send() {
          asked.push(origin);
          const data = Uint8Array.from(encodeHint(hints[origin]!)).buffer;
          queueMicrotask(() => socket.dispatchEvent(new MessageEvent('message', { data })));
        },
      });
      queueMicrotask(() => socket.dispatchEvent(new Event('open')));
      return socket as unknown as WebSocketLike;
    },
    context: () => CONTEXT,
    patienceMs: 30_000,
    record: () => record as unknown as DeviceRecord,
    changeSession: async (stored) => stored,
    reached: () => undefined,
    opened: () => undefined,
    notice: () => undefined,
    over,
  } satisfies ConnectionHost);
  connection.begin(0);
  connection.seek();
  await vi.waitFor(() => expect(over).toHaveBeenCalledWith('SESSION_UNKNOWN', session), 20_000);
  expect(asked).toEqual(['ws://a', 'ws://b']);
  connection.drop();
});
