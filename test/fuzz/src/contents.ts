import {
  concat,
  encodeChunkPrefix,
  encodeContext,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  encodeUint,
  encodeWsClose,
  encodeWsMessage,
  encodeWsPiece,
  prefix8,
  WS_OPCODES,
} from '@sallyport/channel';
import { CONTEXT } from './gateway.ts';
import type { Random } from './random.ts';

const MAX_OPENING_BYTES = 60_000;
const AUTHORITIES = ['honest.corp', 'hostile.corp', 'tcp.corp', 'nobody.corp', ''] as const;
/** Chunks or messages in the rare contents that hold many. */
const MANY_PARTS = 1_000;
const REASON_BYTES = 123;
const CONTROL_BYTES = 125;

/** An app context, sometimes broken. */
export function context(random: Random): Uint8Array {
  const version = String(random.below(3));
  const encoded = encodeContext({ ...CONTEXT, version, posture: { rooted: random.chance(0.5) } });
  return random.chance(0.9) ? encoded : random.mutated(encoded);
}

/** What an OPEN holds: a kind, and the beginning of a stream of it, most often with something wrong. */
export function opening(random: Random): Uint8Array {
  const kind = random.pick([1, 1, 1, 2, 2, 3, 3, 0, 4]);
  const authority = random.pick(AUTHORITIES);
  if (kind === 3)
    return concat(
      Uint8Array.of(3),
      random.maybe(concat(prefix8(encodeText(authority)), random.bytes(random.size(500)))),
    );
  const method = kind === 2 ? 'GET' : random.pick(['GET', 'POST', 'PUT', 'HEAD', 'TRACE']);
  const path = random.pick(['/', '/echo', '/a/../b', `/${'x'.repeat(random.size(9_000))}`]);
  const head = encodeRequestHead({ method, scheme: 'http', authority, path, fields: fieldsOf(random) });
  const body = kind === 2 ? webSocketMessages(random) : content(random);
  return concat(Uint8Array.of(kind), random.maybe(concat(head, body)).subarray(0, MAX_OPENING_BYTES));
}

/** What an OPEN of a WebSocket holds that a backend may accept. */
export function webSocketOpening(authority: string): Uint8Array {
  const head = encodeRequestHead({ method: 'GET', scheme: 'http', authority, path: '/', fields: [] });
  return concat(Uint8Array.of(2), head);
}

/** Bytes for the middle of any stream. */
export function streamBytes(random: Random): Uint8Array {
  const choice = random.below(4);
  if (choice === 0) return random.bytes(random.size(3_000));
  return choice === 1 ? webSocketMessages(random) : content(random).subarray(0, MAX_OPENING_BYTES);
}

/** What a device says on a WebSocket that is open: most often what it may. */
export function talk(random: Random): Uint8Array {
  if (random.chance(0.9)) return rightMessages(random);
  return random.chance(0.5) ? random.mutated(rightMessages(random)) : webSocketMessages(random);
}

/** A close message that keeps to the rules. */
export function rightClose(random: Random): Uint8Array {
  const code = random.pick([undefined, 1000, 1001, 1003, 1011, 3000, 4000 + random.below(1_000)]);
  return encodeWsClose({ code, reason: code === undefined ? '' : 'r'.repeat(random.size(REASON_BYTES)) });
}

function rightMessages(random: Random): Uint8Array {
  const messages = Array.from({ length: 1 + random.below(3) }, () => {
    if (random.chance(0.3)) return inPieces(random);
    if (random.chance(0.1)) return control(random);
    if (random.chance(0.3))
      return encodeWsMessage({ opcode: WS_OPCODES.binary, bytes: random.bytes(random.size(2_000)) });
    return encodeWsMessage({ opcode: WS_OPCODES.text, bytes: letters(random) });
  });
  return concat(...messages);
}

/** One message in several pieces, with pings and pongs between them. */
function inPieces(random: Random): Uint8Array {
  const count = 1 + random.below(5);
  const pieces = Array.from({ length: count }, (_, i) => {
    const opcode = i === 0 ? WS_OPCODES.text : WS_OPCODES.continuation;
    const piece = encodeWsPiece({ opcode, more: i < count - 1, bytes: letters(random) });
    return random.chance(0.2) ? concat(piece, control(random)) : piece;
  });
  return concat(...pieces);
}

function control(random: Random): Uint8Array {
  const opcode = random.pick([WS_OPCODES.ping, WS_OPCODES.pong]);
  return encodeWsPiece({ opcode, more: false, bytes: random.bytes(random.size(CONTROL_BYTES)) });
}

function letters(random: Random): Uint8Array {
  return encodeText(random.pick(['m', 'é', '☃']).repeat(random.size(500)));
}

function fieldsOf(random: Random): [string, string][] {
  const all: [string, string][] = [
    ['accept', '*/*'],
    ['content-length', String(random.below(20))],
    ['x-body', 'é'],
    ['expect', '100-continue'],
    ['sec-websocket-protocol', random.pick(['chat', 'a, a', ',', ' '])],
    ['sallyport-assertion', 'forged'],
  ];
  return all.filter(() => random.chance(0.2));
}

function content(random: Random): Uint8Array {
  const parts = Array.from({ length: random.below(random.chance(0.01) ? MANY_PARTS : 4) }, () => {
    const bytes = random.bytes(1 + random.below(20));
    return concat(encodeChunkPrefix(bytes.length), bytes);
  });
  return concat(...parts, encodeMessageEnd());
}

function webSocketMessages(random: Random): Uint8Array {
  const messages = Array.from({ length: random.below(5) }, () => {
    if (random.chance(0.2)) {
      const bytes = random.bytes(random.size(200));
      return encodeWsPiece({ opcode: random.below(16), more: random.chance(0.5), bytes });
    }
    if (random.chance(0.6))
      return encodeWsMessage({ opcode: random.pick([1, 2]), bytes: random.bytes(random.below(200)) });
    const code = random.pick([1000, 1001, 1005, 1006, 1015, 999, 3000, 4999, 5000, random.below(65_536)]);
    const reason = random.chance(0.5) ? Buffer.alloc(random.size(300), 'x') : random.bytes(random.size(300));
    return encodeWsMessage({ opcode: 8, bytes: random.maybe(concat(encodeUint(code, 2), reason)) });
  });
  return concat(...messages);
}
