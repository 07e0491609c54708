import { ChannelStream, findSignedCode } from '../src/index.ts';

/** What a stream that nothing carries has sent since this was asked last; its peer has read all of it. */
export function sentBy(stream: ChannelStream): Buffer {
  const parts: Buffer[] = [];
  const frame = Buffer.alloc(65_536);
  while (stream.sendable) {
    const { next, sent } = stream.writeNext(frame, 0, { room: frame.length, credit: frame.length });
    parts.push(Buffer.from(frame.subarray(next - sent, next)));
    stream.credit(sent);
  }
  return Buffer.concat(parts);
}

/** How a stream was reset. */
export interface TestReset {
  readonly code: string;
  readonly words: string;
}

/**
 * A stream that nothing carries: how it was reset, which `heard` is told at once, and for how many bytes credit went back. `window`: bytes
 * that its peer may send.
 */
export function testStream(
  kind: number,
  { window = 262_144, heard }: { readonly window?: number; readonly heard?: (reset: TestReset) => void } = {},
): {
  stream: ChannelStream;
  resets: TestReset[];
  released: () => number;
} {
  const resets: TestReset[] = [];
  let released = 0;
  const owner = {
    ready() {},
    queued() {},
    congested: false,
    flush() {},
    sendReset: (_stream: ChannelStream, code: number, words = '') => {
      const reset = { code: findSignedCode(code) ?? String(code), words };
      resets.push(reset);
      heard?.(reset);
    },
    release: (_stream: ChannelStream, bytes: number) => {
      released += bytes;
    },
    finished() {},
    failed: (_stream: ChannelStream, error: unknown) => {
      throw error;
    },
  };
  const stream = new ChannelStream(owner, { id: 1, kind, window, opening: false });
  return { stream, resets, released: () => released };
}
