import { encodeHint, type HintCode, type Standing } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test, vi } from 'vitest';
import type { DeviceRecord, StoredSession } from '../../src/kept/record.ts';
import { ChannelNumbers } from '../../src/session/channel-numbers.ts';
import { Connection, type ConnectionHost } from '../../src/session/connection.ts';
import { proxyPlacesOf } from '../../src/sites/places.ts';
import { CONTEXT } from '../context.ts';
import { proxies } from '../proxies.ts';

interface Scene {
  readonly standing: Standing | undefined;
  readonly hints?: Readonly<Record<string, HintCode>>;
}

/** A device with a session whose Proxies answer HELLO with hints, and Security what it is given. */
function scene({ standing, hints = { 'ws://a': 'SESSION_UNKNOWN', 'ws://b': 'BUSY' } }: Scene) {
  const asked: string[] = [];
  const session: StoredSession = {
    sid: new Uint8Array(16),
    secret: new Uint8Array(32),
    reservedChanNo: 64,
  };
  const record = { realm: 'main', session, sites: [{ name: 's', origins: Object.keys(hints) }] };
  const over = vi.fn();
  const reached = vi.fn();
  const connection: Connection = new Connection({
    crypto: nodeCrypto(),
    webSocket: proxies((origin) => {
      asked.push(origin);
      return encodeHint(hints[origin]!);
    }),
    context: () => CONTEXT,
    patienceMs: 30_000,
    numbers: new ChannelNumbers({
      record: () => record as unknown as DeviceRecord,
      changeSession: async (stored) => stored,
    }),
    places: () => proxyPlacesOf(record, undefined),
    isKept: () => true,
    tried: () => undefined,
    calmedDown: () => undefined,
    doubted: () => undefined,
    pinged: () => undefined,
    failed: () => undefined,
    record: () => record as unknown as DeviceRecord,
    reached,
    opened: () => undefined,
    notice: () => undefined,
    standing: async () => standing,
    over,
  } satisfies ConnectionHost);
  return { connection, session, asked, over, reached };
}

test.each([
  ['user', 'REVOKED'],
  ['app', 'REVOKED'],
  ['expired', 'SESSION_EXPIRED'],
  ['signed-out', 'REVOKED'],
  ['replaced', 'SESSION_EXPIRED'],
] as const)('a session that no Proxy knows is over when Security says so: %s', async (standing, code) => {
  const { connection, session, asked, over } = scene({ standing });
  connection.seek();
  await vi.waitFor(() => expect(over).toHaveBeenCalledWith(code, session, standing), 90_000);
  expect(asked).toEqual(['ws://a', 'ws://b']);
  connection.drop();
});

test.each([undefined, 'live'] as const)(
  'hints that a session is not known end nothing when Security says %s: the device tries again',
  async (standing) => {
    const { connection, asked, over, reached } = scene({
      standing,
      hints: { 'ws://a': 'SESSION_UNKNOWN', 'ws://b': 'SESSION_UNKNOWN' },
    });
    // Who waits hears at once, and not that the session is over.
    await expect(connection.usable()).rejects.toMatchObject({ code: 'SESSION_UNKNOWN' });
    expect(reached).toHaveBeenLastCalledWith('offline');
    await vi.waitFor(() => expect(asked.length).toBeGreaterThan(3), 90_000);
    expect(over).not.toHaveBeenCalled();
    expect(connection.wanted).toBe(true);
    connection.drop();
  },
);
