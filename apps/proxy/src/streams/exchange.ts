import type { ChannelStream, SignedCode, StreamSink } from '@sallyport/channel';
import type { Backends } from '../backend/backends.ts';
import type { Decision, Wanted } from '../rights.ts';

/** What a stream's handler needs of its channel. Answers are those of this moment: ask again after waits. */
export interface StreamHost {
  readonly backends: Backends;
  readonly deviceAddress: string;
  /** Decides by the grant and app context of this moment. */
  decide(wanted: Wanted): Decision;
  /** False while rights are being read again. */
  ready(): boolean;
  /** Runs work at once, or as soon as rights that are being read again are known. */
  whenReady(work: () => void): void;
  /** True while this Proxy may serve. Ask last before each write to a backend. */
  mayServe(): boolean;
  /** A backend failed: the device is told by code only, the log says why. */
  backendFailed(authority: string, error: Error): void;
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
