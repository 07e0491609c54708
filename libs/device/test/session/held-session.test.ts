import {
  decodeSessionAsk,
  deriveEndKey,
  encodeHint,
  encodeSessionTold,
  MESSAGE_TYPES,
  type Standing,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test, vi } from 'vitest';
import { KeptRecord } from '../../src/kept/kept-record.ts';
import { type DeviceRecord, memoryStorage, type StoredSession } from '../../src/kept/record.ts';
import { HeldSession } from '../../src/session/held-session.ts';
import { CONTEXT } from '../context.ts';
import { proxies } from '../proxies.ts';

const crypto = nodeCrypto();
const sessionOf = (number: number): StoredSession => ({
  sid: new Uint8Array(16).fill(number),
  secret: new Uint8Array(32).fill(number),
  reservedChanNo: 64,
});
const recordOf = (session?: StoredSession): DeviceRecord =>
  ({
    realm: 'main',
    iid: 'i',
    origins: [],
    sites: [{ name: 's', origins: ['ws://a'] }],
    session,
  }) as unknown as DeviceRecord;

/** A device whose Proxy knows no session; Security, behind it, says how each stands. */
async function scene(record: DeviceRecord, standingOf: (session: number) => Standing = () => 'live') {
  const storage = memoryStorage();
  await storage.store(record);
  const said: unknown[] = [];
  const held = new HeldSession({
    prove: () => Promise.reject(new Error('nothing to prove')),
    crypto,
    webSocket: proxies((_origin, message) => {
      if (message[0] !== MESSAGE_TYPES.ASK) return encodeHint('SESSION_UNKNOWN');
      const ask = decodeSessionAsk(message);
      const number = ask.sid[0]!;
      const key = deriveEndKey(crypto, sessionOf(number).secret);
      return encodeSessionTold(crypto, key, ask, standingOf(number));
    }),
    context: () => CONTEXT,
    patienceMs: 60_000,
    kept: await KeptRecord.load(storage),
    stands: (state) => void said.push(state),
    resources: () => undefined,
    emit: (name, event) => void said.push([name, event]),
  });
  return { held, storage, said };
}

test('a session that is over is forgotten, and why is remembered and told', async () => {
  const { held, storage, said } = await scene(recordOf(sessionOf(1)), () => 'user');
  expect(held.restState).toBe('offline');
  await expect(held.usableChannel()).rejects.toMatchObject({ code: 'REVOKED', mayHaveRun: false });
  const ended = { code: 'REVOKED', cause: 'user' };
  await vi.waitFor(() => expect(said.slice(-2)).toEqual(['signed-out', ['ended', ended]]), 90_000);
  expect(await storage.load()).toEqual({ ...recordOf(), session: undefined, ended });
  await expect(held.usableChannel()).rejects.toMatchObject({ code: 'SIGNED_OUT' });
});

test('when another process has begun a session meanwhile, the device goes on with that one', async () => {
  const { held, storage, said } = await scene(recordOf(sessionOf(1)), (session) => {
    if (session === 2) return 'live';
    void storage.store(recordOf(sessionOf(2)));
    return 'replaced';
  });
  const waits = held.usableChannel().catch((error: unknown) => error);
  const reserved = async (): Promise<number> => {
    const session = (await storage.load())?.session;
    return session?.sid[0] === 2 ? session.reservedChanNo : 0;
  };
  await vi.waitFor(async () => expect(await reserved()).toBeGreaterThan(64), 90_000);
  expect(said).not.toContainEqual(['ended', expect.anything()]);
  held.drop();
  expect(await waits).toMatchObject({ code: expect.stringMatching(/^(?:CLOSED|SESSION_UNKNOWN)$/) });
});

test('signed out here, a device adopts the session that another process has begun', async () => {
  const { held, storage } = await scene(recordOf());
  expect(held.restState).toBe('signed-out');
  await expect(held.usableChannel()).rejects.toMatchObject({ code: 'SIGNED_OUT' });
  await storage.store(recordOf(sessionOf(3)));
  const waits = held.usableChannel().catch((error: unknown) => error);
  await vi.waitFor(() => expect(held.wanted).toBe(true), 90_000);
  held.drop();
  expect(await waits).toMatchObject({ code: expect.stringMatching(/^(?:CLOSED|SESSION_UNKNOWN)$/) });
});

test('without any session nothing is sought', async () => {
  const { held, said } = await scene(recordOf());
  held.seek();
  expect(held.wanted).toBe(false);
  expect(said).toEqual([]);
});
