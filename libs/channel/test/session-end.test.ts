import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { equalBytes, formatHex, parseHex } from '../src/bytes.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';
import { MESSAGE_TYPES } from '../src/messages.ts';
import { decodeSessionEnd, deriveEndKey, encodeSessionEnd, endKeyOf, verifySessionEnd } from '../src/session-end.ts';
import {
  decodeSessionAsk,
  decodeSessionTold,
  encodeSessionAsk,
  encodeSessionTold,
  STANDINGS,
  verifySessionMac,
} from '../src/session-standing.ts';
import { providers } from './providers.ts';

const { END, ENDED } = MESSAGE_TYPES;
const file = new URL('../vectors/session-end.json', import.meta.url);

interface Vector {
  readonly session_secret: string;
  readonly sid: string;
  readonly end_key: string;
  readonly end: string;
  readonly ended: string;
  /** Messages that Security must not take for END of this session. */
  readonly refused: readonly string[];
  readonly nonce: string;
  readonly ask: string;
  /** The answer of each standing. */
  readonly told: Readonly<Record<string, string>>;
  /** Messages that Security must not take for ASK of this session, and a device not for the answer to it. */
  readonly refused_ask: readonly string[];
  readonly refused_told: readonly string[];
}

function make(start: number): Vector {
  const crypto = nobleCrypto();
  const secret = Uint8Array.from({ length: 32 }, (_, i) => start + i);
  const sid = Uint8Array.from({ length: 16 }, (_, i) => start + 100 + i);
  const key = deriveEndKey(crypto, secret);
  const end = encodeSessionEnd(crypto, END, key, sid);
  const ended = encodeSessionEnd(crypto, ENDED, key, sid);
  const changed = (at: number): Uint8Array => end.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const relabelled = ended.map((byte, i) => (i === 0 ? END : byte));
  const refused = [changed(1), changed(2), changed(33), relabelled, end.subarray(0, 33), Uint8Array.of(...end, 0)];
  const nonce = Uint8Array.from({ length: 16 }, (_, i) => start + 150 + i);
  const ask = encodeSessionAsk(crypto, key, sid, nonce);
  const told = STANDINGS.map((standing) => encodeSessionTold(crypto, key, { sid, nonce }, standing));
  const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const others = (bytes: Uint8Array): Uint8Array[] => [
    ...[1, 2, 18, bytes.length - 17, bytes.length - 1].map((at) => flipped(bytes, at)),
    bytes.subarray(0, -1),
    Uint8Array.of(...bytes, 0),
  ];
  return {
    session_secret: formatHex(secret),
    sid: formatHex(sid),
    end_key: formatHex(key),
    end: formatHex(end),
    ended: formatHex(ended),
    refused: refused.map((bytes) => formatHex(bytes)),
    nonce: formatHex(nonce),
    ask: formatHex(ask),
    told: Object.fromEntries(STANDINGS.map((standing, i) => [standing, formatHex(told[i]!)])),
    refused_ask: [...others(ask), told[0]!].map((bytes) => formatHex(bytes)),
    refused_told: [...others(told[6]!), ask, ended].map((bytes) => formatHex(bytes)),
  };
}

const made = [make(0), make(64)];

test('the code still gives the published vectors of ending a session', () => {
  if (process.env['WRITE_VECTORS']) writeFileSync(file, `${JSON.stringify(made, null, 1)}\n`);
  expect(made).toEqual(JSON.parse(readFileSync(file, 'utf8')));
});

test('every provider makes and takes the same END and ENDED, and no other', () => {
  for (const crypto of providers) {
    for (const vector of JSON.parse(readFileSync(file, 'utf8')) as Vector[]) {
      const sid = parseHex(vector.sid);
      const key = deriveEndKey(crypto, parseHex(vector.session_secret));
      expect(formatHex(key)).toBe(vector.end_key);
      for (const [type, name] of [
        [END, 'end'],
        [ENDED, 'ended'],
      ] as const) {
        expect(formatHex(encodeSessionEnd(crypto, type, key, sid))).toBe(vector[name]);
        const decoded = decodeSessionEnd(type, parseHex(vector[name]));
        expect(decoded.sid).toEqual(sid);
        expect(verifySessionEnd(crypto, type, key, decoded)).toBe(true);
      }
      const taken = (text: string): boolean => {
        try {
          return verifySessionEnd(crypto, END, key, decodeSessionEnd(END, parseHex(text)));
        } catch {
          return false;
        }
      };
      expect(vector.refused.filter(taken)).toEqual([]);
    }
  }
});

test('every provider makes and takes the same ASK and TOLD, and no other', () => {
  for (const crypto of providers) {
    for (const vector of JSON.parse(readFileSync(file, 'utf8')) as Vector[]) {
      const key = endKeyOf(parseHex(vector.end_key));
      const [sid, nonce] = [parseHex(vector.sid), parseHex(vector.nonce)];
      expect(formatHex(encodeSessionAsk(crypto, key, sid, nonce))).toBe(vector.ask);
      expect(decodeSessionAsk(parseHex(vector.ask))).toMatchObject({ sid, nonce });
      expect(verifySessionMac(crypto, key, parseHex(vector.ask))).toBe(true);
      for (const [standing, text] of Object.entries(vector.told)) {
        const told = parseHex(text);
        expect(decodeSessionTold(told)).toMatchObject({ sid, nonce, standing });
        expect(verifySessionMac(crypto, key, told)).toBe(true);
      }
      const taken = (decode: (message: Uint8Array) => { sid: Uint8Array; nonce: Uint8Array }) => (text: string) => {
        try {
          const message = parseHex(text);
          const named = decode(message);
          const fits = equalBytes(named.sid, sid) && equalBytes(named.nonce, nonce);
          return fits && verifySessionMac(crypto, key, message);
        } catch {
          return false;
        }
      };
      expect(vector.refused_ask.filter(taken(decodeSessionAsk))).toEqual([]);
      expect(vector.refused_told.filter(taken(decodeSessionTold))).toEqual([]);
    }
  }
});

test('a standing of later versions is another reason', () => {
  const crypto = nobleCrypto();
  const key = endKeyOf(new Uint8Array(32));
  const told = encodeSessionTold(crypto, key, { sid: new Uint8Array(16), nonce: new Uint8Array(16) }, 'live');
  told[34] = 200;
  expect(decodeSessionTold(told).standing).toBe('other');
});

test('a key of another length is a mistake of ours', () => {
  expect(() => endKeyOf(new Uint8Array(31))).toThrow(TypeError);
});
