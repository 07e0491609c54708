import { expect, test } from 'vitest';
import { concat, EMPTY, encodeText, formatHex, parseHex } from '../src/bytes.ts';
import { type KeyPair, publicKeyOf, type Suite } from '../src/crypto.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';
import { nodeCrypto } from '../src/crypto-node.ts';
import { CipherState, NNpsk0, NoiseHandshake, type Pattern, type Transport, XKpsk3 } from '../src/noise.ts';
import { providers } from './providers.ts';
import { hasShared, readShared } from './third-party.ts';

interface Vector {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_static?: string;
  readonly init_ephemeral: string;
  readonly init_remote_static?: string;
  readonly init_psks?: readonly string[];
  readonly resp_static?: string;
  readonly resp_ephemeral: string;
  readonly resp_remote_static?: string;
  readonly handshake_hash?: string;
  readonly messages: readonly { payload: string; ciphertext: string }[];
}

/** The patterns of the vectors; the protocol uses two of them, the others prove the state machine. */
const PATTERNS: Readonly<Record<string, Pattern>> = {
  NNpsk0,
  XKpsk3,
  XK: {
    ...XKpsk3,
    name: 'XK',
    messages: [
      ['e', 'es'],
      ['e', 'ee'],
      ['s', 'se'],
    ],
  },
  NN: { name: 'NN', messages: [['e'], ['e', 'ee']] },
  IK: {
    name: 'IK',
    responderKnown: true,
    messages: [
      ['e', 'es', 's', 'ss'],
      ['e', 'ee', 'se'],
    ],
  },
  IKpsk2: {
    name: 'IKpsk2',
    responderKnown: true,
    messages: [
      ['e', 'es', 's', 'ss'],
      ['e', 'ee', 'se', 'psk'],
    ],
  },
  XXpsk3: { name: 'XXpsk3', messages: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se', 'psk']] },
};

function sideOf(vector: Vector, initiator: boolean, provider = nobleCrypto()): NoiseHandshake {
  const [, name, , cipher] = vector.protocol_name.split('_') as [string, string, string, string];
  const keyPair = (hex: string): KeyPair => provider.keyPairOf(parseHex(hex));
  const staticHex = initiator ? vector.init_static : vector.resp_static;
  const remoteHex = initiator ? vector.init_remote_static : vector.resp_remote_static;
  return new NoiseHandshake({
    crypto: provider,
    suite: cipher === 'AESGCM' ? 2 : 1,
    pattern: PATTERNS[name]!,
    initiator,
    prologue: parseHex(vector.init_prologue),
    ephemeral: keyPair(initiator ? vector.init_ephemeral : vector.resp_ephemeral),
    ...(staticHex === undefined ? {} : { static: keyPair(staticHex) }),
    ...(remoteHex === undefined ? {} : { remoteStatic: publicKeyOf(parseHex(remoteHex)) }),
    ...(vector.init_psks?.[0] === undefined ? {} : { psk: parseHex(vector.init_psks[0]) }),
  });
}

function replay(vector: Vector, provider = nobleCrypto()): void {
  const sides = [sideOf(vector, true, provider), sideOf(vector, false, provider)] as const;
  const handshakeMessages = PATTERNS[vector.protocol_name.split('_')[1]!]!.messages.length;
  let transports: readonly Transport[] = [];
  for (const [index, message] of vector.messages.entries()) {
    const [writer, reader] = index % 2 === 0 ? [0, 1] : [1, 0];
    const payload = parseHex(message.payload);
    if (index < handshakeMessages) {
      const written = sides[writer]!.writeMessage(payload);
      expect(formatHex(written)).toBe(message.ciphertext);
      expect(formatHex(sides[reader]!.readMessage(written))).toBe(message.payload);
    } else {
      if (transports.length === 0) transports = sides.map((side) => side.split());
      const sealed = transports[writer]!.sealing.seal(EMPTY, payload);
      expect(formatHex(sealed)).toBe(message.ciphertext);
      expect(formatHex(transports[reader]!.opening.open(EMPTY, sealed))).toBe(message.payload);
    }
  }
  if (vector.handshake_hash) expect(formatHex(sides[0].hash)).toBe(vector.handshake_hash);
}

test.runIf(hasShared)('gives the bytes of the published Noise vectors with every provider', () => {
  const { vectors } = readShared<{ vectors: readonly Vector[] }>('vectors/noise/cacophony-core.json');
  expect(vectors.length).toBe(12);
  for (const vector of vectors) for (const provider of providers) replay(vector, provider);
});

interface ForeignState {
  WriteMessage(payload: Uint8Array | null): Uint8Array;
  ReadMessage(message: Uint8Array, payloadNeeded: boolean, fallback?: boolean): Uint8Array | null;
  Split(): [ForeignCipher, ForeignCipher];
  Initialize(prologue: Uint8Array | null, s: Uint8Array | null, rs: Uint8Array | null, psk: Uint8Array | null): void;
}
interface ForeignCipher {
  EncryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  DecryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}
interface Foreign {
  constants: { NOISE_ROLE_INITIATOR: number; NOISE_ROLE_RESPONDER: number };
  HandshakeState(name: string, role: number): ForeignState;
}

/** It would try to fetch its own file by its path, and print that this is no URL, before it reads it. */
async function withoutStreaming<T>(work: () => Promise<T>): Promise<T> {
  const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: { instantiateStreaming?: unknown } };
  const streaming = wasm.instantiateStreaming;
  delete wasm.instantiateStreaming;
  try {
    return await work();
  } finally {
    wasm.instantiateStreaming = streaming;
  }
}

/** Loads it, and takes back the handlers it sets for the whole process: they would end any test of this worker. */
async function loadForeign(): Promise<Foreign> {
  const events = ['unhandledRejection', 'uncaughtException'];
  const before = new Set(events.flatMap((event) => process.listeners(event as 'uncaughtException')));
  const { default: create } = (await import('noise-c.wasm')) as { default: (ready: (noise: Foreign) => void) => void };
  const foreign = await withoutStreaming(() => new Promise<Foreign>((resolve) => create(resolve)));
  for (const event of events) {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before.has(listener)) process.removeListener(event, listener);
    }
  }
  return foreign;
}

test.each([
  ['XK', 1],
  ['XK', 2],
  ['NN', 1],
  ['NN', 2],
] as const)('talks %s in suite %i with a foreign implementation in both roles', async (name, suite: Suite) => {
  const foreign = await loadForeign();
  for (const provider of [nodeCrypto(), nobleCrypto()]) {
    for (const weInitiate of [true, false]) talkToForeign(foreign, { name, suite, provider, weInitiate });
  }
});

function talkToForeign(
  foreign: Foreign,
  options: { name: 'XK' | 'NN'; suite: Suite; provider: ReturnType<typeof nodeCrypto>; weInitiate: boolean },
): void {
  const { name, suite, provider, weInitiate } = options;
  const device = provider.generateKeyPair();
  const server = provider.generateKeyPair();
  const prologue = encodeText('interop');
  const keys =
    name === 'NN' ? {} : weInitiate ? { static: device, remoteStatic: server.publicKey } : { static: server };
  const ours = new NoiseHandshake({
    crypto: provider,
    suite,
    pattern: PATTERNS[name]!,
    initiator: weInitiate,
    prologue,
    ...keys,
  });
  const { NOISE_ROLE_INITIATOR, NOISE_ROLE_RESPONDER } = foreign.constants;
  const protocol = `Noise_${name}_25519_${suite === 1 ? 'ChaChaPoly' : 'AESGCM'}_SHA256`;
  const theirs = foreign.HandshakeState(protocol, weInitiate ? NOISE_ROLE_RESPONDER : NOISE_ROLE_INITIATOR);
  const theirStatic = name === 'NN' ? null : weInitiate ? server.secretKey : device.secretKey;
  const theirRemote = name === 'NN' || weInitiate ? null : server.publicKey;
  theirs.Initialize(prologue, theirStatic, theirRemote, null);
  for (let step = 0; step < PATTERNS[name]!.messages.length; step++) {
    const payload = encodeText(`payload ${step}`);
    const weWrite = (step % 2 === 0) === weInitiate;
    const read = weWrite
      ? theirs.ReadMessage(ours.writeMessage(payload), true)!
      : ours.readMessage(theirs.WriteMessage(payload));
    expect(Buffer.from(read).toString()).toBe(`payload ${step}`);
  }
  const [send, receive] = theirs.Split();
  const transport = ours.split();
  const hello = encodeText('hello');
  expect(receive.DecryptWithAd(EMPTY, transport.sealing.seal(EMPTY, hello))).toEqual(hello);
  expect(new Uint8Array(transport.opening.open(EMPTY, send.EncryptWithAd(EMPTY, hello)))).toEqual(hello);
}

test('a failed open leaves the counter where it was', () => {
  for (const provider of providers) {
    for (const suite of [1, 2] as const) {
      const key = provider.randomBytes(32);
      const sealing = new CipherState(provider, suite, key);
      const opening = new CipherState(provider, suite, key);
      const sealed = sealing.seal(EMPTY, encodeText('one'));
      const broken = sealed.slice();
      broken[0]! ^= 1;
      expect(() => opening.open(EMPTY, broken)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_OPEN' }));
      expect(opening.count).toBe(0);
      expect(new Uint8Array(opening.open(EMPTY, sealed))).toEqual(encodeText('one'));
    }
  }
});

test('rekey gives the same next key on both sides and with every provider', () => {
  const key = new Uint8Array(32).fill(7);
  const sealed = providers.map((provider) => {
    const cipher = new CipherState(provider, 1, key);
    cipher.seal(EMPTY, EMPTY);
    cipher.rekey();
    return formatHex(cipher.seal(EMPTY, encodeText('after')));
  });
  expect(new Set(sealed).size).toBe(1);
});

test('the psk can be chosen after the peer is known, and a wrong one changes nothing', () => {
  const crypto = nodeCrypto();
  const [device, server] = [crypto.generateKeyPair(), crypto.generateKeyPair()];
  const psk = crypto.randomBytes(32);
  const start = { crypto, suite: 1, pattern: XKpsk3, prologue: EMPTY } as const;
  const a = new NoiseHandshake({ ...start, initiator: true, static: device, remoteStatic: server.publicKey, psk });
  const b = new NoiseHandshake({ ...start, initiator: false, static: server });
  b.readMessage(a.writeMessage(EMPTY));
  a.readMessage(b.writeMessage(EMPTY));
  b.readUntilPsk(a.writeMessage(encodeText('request')));
  expect(formatHex(b.remoteStatic!)).toBe(formatHex(device.publicKey));
  expect(b.tryPsk(crypto.randomBytes(32))).toBeUndefined();
  expect(b.tryPsk(crypto.randomBytes(32))).toBeUndefined();
  expect(new Uint8Array(b.tryPsk(psk)!)).toEqual(encodeText('request'));
  expect(formatHex(b.hash)).toBe(formatHex(a.hash));
});

test('a bit flipped anywhere in a handshake message ends the handshake', () => {
  const crypto = nodeCrypto();
  const server = crypto.generateKeyPair();
  const message = new NoiseHandshake({
    crypto,
    suite: 1,
    pattern: XKpsk3,
    initiator: true,
    prologue: EMPTY,
    static: crypto.generateKeyPair(),
    remoteStatic: server.publicKey,
  }).writeMessage(encodeText('payload'));
  for (let bit = 0; bit < message.length * 8; bit++) {
    const flipped = concat(message);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const responder = new NoiseHandshake({
      crypto,
      suite: 1,
      pattern: XKpsk3,
      initiator: false,
      prologue: EMPTY,
      static: server,
    });
    // RFC 7748 ignores the top bit of a public key, but the transcript hash does not.
    expect(() => responder.readMessage(flipped)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_HANDSHAKE' }));
  }
});
