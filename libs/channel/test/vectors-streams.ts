import { encodeRequestHead, encodeResponseHead } from '../src/binary-http.ts';
import { concat, encodeText, encodeUint, formatHex, prefix8 } from '../src/bytes.ts';
import { encodeCbor } from '../src/cbor.ts';
import { encodeContext } from '../src/context.ts';
import { encodeReset, FRAME_TYPES, writeFrame } from '../src/frame.ts';
import { encodeHint, encodePadded } from '../src/messages.ts';
import { encodeWsClose, encodeWsMessage, encodeWsPiece, WS_OPCODES } from '../src/web-socket.ts';
import { CONTEXT } from './sample-context.ts';

/** Every type of frame, and one that is ignored. */
export function frameVector(): object {
  const notice = encodeCbor({ code: 'LEASE_LOST', text: 'wait' });
  const frames = [
    { type: FRAME_TYPES.OPEN, flags: 1, stream: 1, data: concat(Uint8Array.of(1), encodeText('whole')) },
    { type: FRAME_TYPES.OPEN, flags: 0, stream: 3, data: Uint8Array.of(2) },
    { type: FRAME_TYPES.OPEN, flags: 0, stream: 7, data: concat(Uint8Array.of(3), encodeText('x')) },
    { type: FRAME_TYPES.DATA, flags: 0, stream: 3, data: encodeText('part') },
    { type: FRAME_TYPES.DATA, flags: 1, stream: 3, data: new Uint8Array(0) },
    { type: FRAME_TYPES.RESET, flags: 0, stream: 7, data: encodeReset(64) },
    { type: FRAME_TYPES.RESET, flags: 0, stream: 7, data: encodeReset(65, 'why') },
    { type: FRAME_TYPES.WINDOW, flags: 0, stream: 0, data: encodeUint(524_288, 4) },
    { type: FRAME_TYPES.WINDOW, flags: 0, stream: 1, data: encodeUint(131_072, 4) },
    { type: FRAME_TYPES.PING, flags: 0, stream: 0, data: encodeUint(9, 8) },
    { type: FRAME_TYPES.PONG, flags: 0, stream: 0, data: encodeUint(9, 8) },
    { type: FRAME_TYPES.GOAWAY, flags: 0, stream: 0, data: concat(encodeUint(3, 4), encodeUint(45, 2)) },
    { type: FRAME_TYPES.CONTEXT, flags: 0, stream: 0, data: encodeContext(CONTEXT) },
    { type: FRAME_TYPES.NOTICE, flags: 0, stream: 0, data: notice },
    { type: FRAME_TYPES.PAD, flags: 0, stream: 0, data: new Uint8Array(5) },
  ];
  const bytes = new Uint8Array(1_024);
  let end = 0;
  for (const frame of frames) end = writeFrame(bytes, end, frame);
  return {
    frames: frames.map((frame) => ({ ...frame, data: formatHex(frame.data) })),
    bytes: formatHex(bytes.subarray(0, end)),
  };
}

/** Stream bytes of kinds 2 and 3, without the kind. */
export function streamVector(): object {
  const request = {
    method: 'GET',
    scheme: 'http',
    authority: 'chat.corp',
    path: '/live',
    fields: [
      ['sec-websocket-protocol', 'chat, superchat'],
      ['cookie', 'sid=abc'],
      ['origin', 'http://chat.corp'],
    ],
  } as const;
  const response = {
    status: 200,
    fields: [
      ['sec-websocket-protocol', 'chat'],
      ['set-cookie', 'sid=def'],
    ],
  } as const;
  const refusal = { status: 403, fields: [['content-type', 'text/plain']] } as const;
  const messages = [
    { opcode: WS_OPCODES.text, bytes: encodeText('h\u00e9') },
    { opcode: WS_OPCODES.binary, bytes: Uint8Array.of(0, 255) },
    { opcode: WS_OPCODES.binary, bytes: new Uint8Array(0) },
  ];
  const pieces = [
    { opcode: WS_OPCODES.text, more: true, bytes: Uint8Array.of(0x68, 0xc3) },
    { opcode: WS_OPCODES.ping, more: false, bytes: encodeText('p') },
    { opcode: WS_OPCODES.continuation, more: true, bytes: new Uint8Array(0) },
    { opcode: WS_OPCODES.pong, more: false, bytes: new Uint8Array(0) },
    { opcode: WS_OPCODES.continuation, more: false, bytes: Uint8Array.of(0xa9) },
  ];
  const closes = [
    { code: 1000, reason: 'bye' },
    { code: undefined, reason: '' },
  ];
  return {
    web_socket: {
      request,
      request_bytes: formatHex(encodeRequestHead(request)),
      response,
      response_bytes: formatHex(encodeResponseHead(response, [])),
      refusal,
      refusal_bytes: formatHex(concat(encodeResponseHead(refusal, []), encodeText('no'))),
      refusal_body: formatHex(encodeText('no')),
      messages: messages.map(({ opcode, bytes }) => ({
        opcode,
        bytes: formatHex(bytes),
        encoded: formatHex(encodeWsMessage({ opcode, bytes })),
      })),
      pieces: pieces.map((piece) => ({
        ...piece,
        bytes: formatHex(piece.bytes),
        encoded: formatHex(encodeWsPiece(piece)),
      })),
      closes: closes.map((close) => ({
        code: close.code ?? null,
        reason: close.reason,
        encoded: formatHex(encodeWsClose(close)),
      })),
    },
    tcp: {
      authority: 'db.corp:5432',
      first_bytes: formatHex(encodeText('hello')),
      encoded: formatHex(concat(prefix8(encodeText('db.corp:5432')), encodeText('hello'))),
    },
  };
}

/** Hints, and what is padded in HS3, HS4, STEP and STEP_REPLY. */
export function messageVector(): object {
  const random = new Uint8Array(32).fill(0x55);
  const hints = [
    ['BAD_MESSAGE', 0],
    ['UNKNOWN_KID', 0],
    ['RETRY_LATER', 1_500],
    ['UNAVAILABLE', 1_000],
  ] as const;
  return {
    hints: hints.map(([code, retry_after_ms]) => ({
      code,
      retry_after_ms,
      bytes: formatHex(encodeHint(code, retry_after_ms)),
    })),
    padding: [0, 1, 219, 220, 221].map((length) => ({
      random: formatHex(random),
      cbor: formatHex(new Uint8Array(length).fill(0x66)),
      payload: formatHex(encodePadded(random, new Uint8Array(length).fill(0x66))),
    })),
  };
}
