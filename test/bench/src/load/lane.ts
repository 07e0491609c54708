/** What every small request gets, and what a wrong answer is compared with. */
export const SMALL_BYTES = 1_024;
/** Size of the file of the large downloads. */
export const LARGE_BYTES = 100_000_000;
export const AUTHORITY = 'wiki.corp';
/** Where a large download is asked for. */
export interface LargeFile {
  readonly authority: string;
  readonly path: string;
}

export const PATHS = { small: '/small', large: '/large', upload: '/upload' } as const;

/** Bytes `at` to `at + length` of the content that all servers send: nothing that compresses, the same in every run. */
export function content(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = 0x9e3779b9;
  for (let i = 0; i + 4 <= length; i += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, i);
  }
  for (let i = length & ~3; i < length; i++) bytes[i] = i & 0xff;
  return bytes;
}

/** Problem of a request for which its lane had no room: it was never sent. */
export const NO_ROOM = 'no room in the lane';

/** Called when a request is over; `problem` says what was wrong with the answer. */
export type Done = (problem?: string) => void;

/** One user's way to the backend: a channel with its own session, or HTTPS connections with their own token. */
export interface Lane {
  /** Asks for the small page and checks every byte of the answer. */
  get(done: Done): void;
  /** Moves `bytes` in one direction, by default of the backend's large file; gives the CRC-32 of what went over. */
  transfer(direction: 'down' | 'up', bytes: number, file?: LargeFile): Promise<number>;
  close(): void;
}

/** How lanes of one kind are opened, as data: it travels to the threads that make the load. */
export type LaneKind =
  | {
      readonly kind: 'channel';
      readonly suite: 1 | 2;
      readonly origins: readonly string[];
      readonly sessions: readonly LaneSession[];
    }
  | {
      readonly kind: 'http';
      readonly port: number;
      /** PEM of the server's certificate; absent: no TLS. */
      readonly ca?: string;
      /** Connections of one lane: HTTP/1.1 carries one request at a time on each. */
      readonly connections: number;
      readonly tokens: readonly string[];
    };

/** A session of ours as a lane needs it. */
export interface LaneSession {
  readonly sid: Uint8Array;
  readonly secret: Uint8Array;
  readonly audience: string;
}
