import { ChannelStream, findSignedCode } from '@sallyport/channel';

/** A stream that nothing carries: what was sent on it, how it was reset, and for how many bytes credit went back. */
export function openStream(kind: number): {
  stream: ChannelStream;
  sent: () => Buffer;
  resets: string[];
  released: () => number;
} {
  const resets: string[] = [];
  let released = 0;
  const owner = {
    ready() {},
    queued() {},
    congested: false,
    flush() {},
    sendReset: (_stream: ChannelStream, code: number) => void resets.push(findSignedCode(code) ?? String(code)),
    release: (_stream: ChannelStream, bytes: number) => {
      released += bytes;
    },
    finished() {},
    failed: (_stream: ChannelStream, error: unknown) => {
      throw error;
    },
  };
  const stream = new ChannelStream(owner, { id: 1, kind, window: 1_048_576, opening: false });
  const sent = (): Buffer => {
    const parts: Buffer[] = [];
    const frame = Buffer.alloc(65_536);
    while (stream.sendable) {
      const { next, sent } = stream.writeNext(frame, 0, { room: frame.length, credit: frame.length });
      parts.push(Buffer.from(frame.subarray(next - sent, next)));
      stream.credit(sent);
    }
    return Buffer.concat(parts);
  };
  return { stream, sent, resets, released: () => released };
}
