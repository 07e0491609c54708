import type { AppContext, ChannelStream, SignedCode, StreamSink } from '@sallyport/channel';
import type { Grant } from '@sallyport/security-api';
import type { Backends } from '../backends.ts';

/** What a stream's handler needs of its channel. The grant and context are those of this moment: ask again after waits. */
export interface StreamHost {
  readonly backends: Backends;
  readonly deviceAddress: string;
  grant(): Grant;
  context(): AppContext;
  /** Runs work at once, or as soon as rights that are being read again are known. */
  whenReady(work: () => void): void;
  /** True while this Proxy may serve. Ask last before each write to a backend. */
  mayServe(): boolean;
  /** Counts a finished stream by kind and outcome. */
  count(kind: string, outcome: 'done' | SignedCode): void;
}

/** A handler of one stream. */
export interface Exchange extends StreamSink {
  /** Rights or app context changed: ends the stream if it would be refused now. */
  recheck(): void;
}

/** One stream being served. */
export interface StreamPlace {
  readonly host: StreamHost;
  readonly stream: ChannelStream;
}

/** Value of the field `forwarded` (RFC 7239) for the device's address. */
export function forwardedFor(address: string): string {
  return address.includes(':') ? `for="[${address}]"` : `for=${address}`;
}
