import { randomBytes } from 'node:crypto';
import {
  DeviceEstablish,
  DeviceOpening,
  ENDPOINT_PATH,
  encodeText,
  keyOf,
  type PublicKey,
  type SessionSecret,
  type SharedKey,
  SUBPROTOCOL,
} from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { WebSocket } from 'ws';
import { CONTEXT } from './channel-lane.ts';

const crypto = serverCrypto();
const PATIENCE_MS = 10_000;

/** A Proxy, what stands in every link, and where strangers come from. */
export interface Door {
  readonly origin: string;
  readonly kid: number;
  readonly rs: Uint8Array;
  readonly localAddress?: string;
}

/** Sends messages one after the other, each made from the answer before, and ends the connection. */
export async function converse(
  { origin, localAddress }: Door,
  steps: readonly ((before: Buffer | undefined) => Uint8Array)[],
): Promise<void> {
  const options = { perMessageDeflate: false, ...(localAddress === undefined ? {} : { localAddress }) };
  const socket = new WebSocket(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL, options);
  const over = new Promise<void>((resolve) => {
    let at = 0;
    const next = (before?: Buffer): void => {
      const step = steps[at++];
      try {
        if (step) return void socket.send(step(before));
      } catch {
        // The answer was a hint: this try is over.
      }
      socket.terminate();
    };
    socket.once('open', () => next());
    socket.on('message', (data) => next(data as Buffer));
    socket.on('error', () => resolve());
    socket.once('close', () => resolve());
    setTimeout(() => socket.terminate(), PATIENCE_MS).unref();
  });
  await over;
}

/** A handshake that proves nothing: an enrolment with a made-up code, or the sign-in of an unknown device. */
export function handshake(door: Door, role: 'enrol' | 'session'): Promise<void> {
  const { kid, rs } = door;
  const device = new DeviceEstablish({
    crypto,
    suite: 2,
    role,
    realm: 'main',
    kid,
    rs: rs as PublicKey,
    deviceStatic: crypto.generateKeyPair(),
    ...(role === 'enrol' ? { codeId: randomBytes(4).toString('hex') } : {}),
  });
  const hs3 = (hs2: Buffer | undefined): Uint8Array => {
    device.readHs2(hs2!);
    return device.writeHs3({}, keyOf<SharedKey>(randomBytes(32)));
  };
  return converse(door, [() => device.writeHs1(), hs3]);
}

/** A HELLO of no session. */
export function hello(door: Door): Promise<void> {
  const opening = new DeviceOpening({
    crypto,
    secret: keyOf<SessionSecret>(randomBytes(32)),
    hello: {
      suite: 1,
      sid: randomBytes(16),
      chanNo: 1,
      nonce: randomBytes(16),
      audience: encodeText('main/here'),
    },
    context: CONTEXT,
  });
  return converse(door, [() => opening.writeHello()]);
}
