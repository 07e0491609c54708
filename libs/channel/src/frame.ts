import { concat, decodeText, decodeUint, encodeText, encodeUint } from './bytes.ts';
import { demand } from './errors.ts';

/** Frame types (SPEC.md, section 6). Unknown ones from 0x80 on are ignored, unknown ones below are fatal. */
export const FRAME_TYPES = {
  OPEN: 0x01,
  DATA: 0x02,
  RESET: 0x03,
  WINDOW: 0x04,
  PING: 0x05,
  PONG: 0x06,
  GOAWAY: 0x07,
  CONTEXT: 0x08,
  NOTICE: 0x09,
  PAD: 0x0a,
} as const;

/** Flag of OPEN and DATA: the sender's last frame on the stream. */
export const FLAG_FIN = 0x01;
/** `type u8 | flags u8 | stream u32 | length u16` */
export const FRAME_HEAD_BYTES = 8;

/** One frame. `data` is a view into the record and lives as long as it. */
export interface Frame {
  /** One of `FRAME_TYPES`; what is not known from 0x80 on is skipped (SPEC.md, section 6). */
  readonly type: number;
  /** Bits; `FLAG_FIN` is the only one in use. */
  readonly flags: number;
  /** Number of the stream, u32; 0 for the channel. */
  readonly stream: number;
  /** Payload, at most 65,535 bytes. */
  readonly data: Uint8Array;
}

/** Writes a frame at `offset` and gives the offset behind it. The caller made sure it fits. */
export function writeFrame(target: Uint8Array, offset: number, frame: Frame): number {
  const { type, flags, stream, data } = frame;
  target[offset] = type;
  target[offset + 1] = flags;
  target[offset + 2] = stream >>> 24;
  target[offset + 3] = stream >>> 16;
  target[offset + 4] = stream >>> 8;
  target[offset + 5] = stream;
  target[offset + 6] = data.length >>> 8;
  target[offset + 7] = data.length;
  target.set(data, offset + FRAME_HEAD_BYTES);
  return offset + FRAME_HEAD_BYTES + data.length;
}

const KNOWN = new Set<number>(Object.values(FRAME_TYPES));
/** Frames that belong to the channel as a whole. */
const CHANNEL_FRAMES = new Set<number>([
  FRAME_TYPES.PING,
  FRAME_TYPES.PONG,
  FRAME_TYPES.GOAWAY,
  FRAME_TYPES.CONTEXT,
  FRAME_TYPES.NOTICE,
  FRAME_TYPES.PAD,
]);
/** Exact data length of the frames that have one. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  [FRAME_TYPES.WINDOW]: 4,
  [FRAME_TYPES.PING]: 8,
  [FRAME_TYPES.PONG]: 8,
  [FRAME_TYPES.GOAWAY]: 6,
};

/** Bytes of the words behind the code of a RESET at most. */
export const MAX_RESET_WORDS_BYTES = 256;
const CODE_BYTES = 2;

/** `code u16 || words`: the words are for people, UTF-8; what is longer is cut. */
export function encodeReset(code: number, words = ''): Uint8Array {
  if (words === '') return encodeUint(code, CODE_BYTES);
  return concat(encodeUint(code, CODE_BYTES), encodeText(words).subarray(0, MAX_RESET_WORDS_BYTES));
}

/** Code and words of a RESET; words that are not UTF-8 are dropped, nothing depends on them. */
export function decodeReset(data: Uint8Array): { readonly code: number; readonly words: string } {
  const code = decodeUint(data, 0, CODE_BYTES);
  if (data.length === CODE_BYTES) return { code, words: '' };
  try {
    return { code, words: decodeText(data.subarray(CODE_BYTES)) };
  } catch {
    return { code, words: '' };
  }
}

/**
 * Gives the frames of one record in order; unknown ignorable ones are left out.
 * @throws ChannelError ERR_CHANNEL_FRAME for anything the spec does not allow.
 */
export function decodeFrames(record: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  let offset = 0;
  while (offset < record.length) {
    demand(record.length - offset >= FRAME_HEAD_BYTES, 'ERR_CHANNEL_FRAME', 'a frame head is cut short');
    const length = decodeUint(record, offset + 6, 2);
    const end = offset + FRAME_HEAD_BYTES + length;
    demand(end <= record.length, 'ERR_CHANNEL_FRAME', 'a frame is cut short');
    const frame = {
      type: record[offset]!,
      flags: record[offset + 1]!,
      stream: decodeUint(record, offset + 2, 4),
      data: record.subarray(offset + FRAME_HEAD_BYTES, end),
    };
    if (checkFrame(frame)) frames.push(frame);
    offset = end;
  }
  return frames;
}

/**
 * Joins DATA frames of one stream that follow each other, in the memory of their record: thousands of pieces of one byte
 * would cost their stream more than one of thousands of bytes.
 */
export function joinData(frames: readonly Frame[]): Frame[] {
  const joined: Frame[] = [];
  for (const frame of frames) {
    const last = joined.at(-1);
    if (last && frame.type === FRAME_TYPES.DATA && continues(frame, last))
      joined[joined.length - 1] = join(last, frame);
    else joined.push(frame);
  }
  return joined;
}

function continues(frame: Frame, last: Frame): boolean {
  return last.type === FRAME_TYPES.DATA && last.stream === frame.stream && (last.flags & FLAG_FIN) === 0;
}

/** Both lie in one record, the second behind the first. */
function join(first: Frame, second: Frame): Frame {
  const { buffer, byteOffset, length } = first.data;
  const data = new Uint8Array(buffer, byteOffset, length + second.data.length);
  data.set(second.data, length);
  return { ...second, data };
}

/** False for a frame to ignore. */
function checkFrame(frame: Frame): boolean {
  const { type, flags, stream, data } = frame;
  if (!KNOWN.has(type)) {
    demand(type >= 0x80, 'ERR_CHANNEL_FRAME', 'the frame type is not known');
    return false;
  }
  const mayFinish = type === FRAME_TYPES.OPEN || type === FRAME_TYPES.DATA;
  demand((flags & ~(mayFinish ? FLAG_FIN : 0)) === 0, 'ERR_CHANNEL_FRAME', 'the frame has unknown flags');
  const fixed = FIXED_BYTES[type];
  demand(fixed === undefined || data.length === fixed, 'ERR_CHANNEL_FRAME', 'the frame has a wrong length');
  const resets = type === FRAME_TYPES.RESET;
  const fits = data.length >= CODE_BYTES && data.length <= CODE_BYTES + MAX_RESET_WORDS_BYTES;
  demand(!resets || fits, 'ERR_CHANNEL_FRAME', 'the frame has a wrong length');
  const whole = CHANNEL_FRAMES.has(type);
  demand(!whole || stream === 0, 'ERR_CHANNEL_FRAME', 'the frame belongs to no stream');
  demand(whole || type === FRAME_TYPES.WINDOW || stream !== 0, 'ERR_CHANNEL_FRAME', 'the frame needs a stream');
  demand(type !== FRAME_TYPES.OPEN || data.length >= 1, 'ERR_CHANNEL_FRAME', 'OPEN names a kind');
  return true;
}
