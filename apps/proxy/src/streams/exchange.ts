import {
  type ChannelStream,
  type HeadLimits,
  SIGNED_CODES,
  type SignedCode,
  type StreamSink,
} from '@sallyport/channel';
import type { Backends } from '../backend/backends.ts';
import type { BackendError } from '../backend/errors.ts';
import type { Tenant } from '../backend/tenant.ts';
import type { Gate, Judge } from '../serving/gate.ts';
import type { HeadBudget } from './head-memory.ts';

/**
 * What a stream's handler needs of its channel, which lies on a floor above it. Answers are those of this moment: ask again after
 * waits.
 */
export interface StreamHost extends Judge {
  readonly backends: Backends;
  /** Memory of the channel for unfinished heads. */
  readonly heads?: HeadBudget;
  /** Bounds of the head of a message for an http resource; the usual ones where this is absent. */
  readonly headLimits?: (authority: string) => HeadLimits;
  readonly deviceAddress: string;
  /** For whom it asks backends. */
  readonly tenant: Tenant;
  /** The backend of a resource failed: the device is told what it may know, the log says why. */
  backendFailed(resource: string, error: BackendError): void;
  /** A handler of ours threw: a defect, for the log. What it belonged to is ended by whoever says so. */
  handlerFailed(error: unknown): void;
  /** Charges small parts that were taken out of what the device sent: chunks of content, messages. */
  spend(pieces: number): void;
  /** Bytes of the largest message of a WebSocket whose resource says nothing else. */
  readonly webSocketMessageBytes: number;
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

/** Why a stream is refused; the gate says how that ends it once the stream has one. */
interface RefusedStream {
  readonly kind: 'http' | 'websocket' | 'tcp';
  readonly gate: Pick<Gate<object, object>, 'ending' | 'words'> | undefined;
  readonly code: SignedCode;
  readonly words: string | undefined;
}

/** Tells the device that its stream is refused, and counts it. */
export function resetRefused(
  { host, stream }: { readonly host: Pick<StreamHost, 'count'>; readonly stream: ChannelStream },
  { kind, gate, code, words }: RefusedStream,
): void {
  const ending = gate?.ending(code) ?? code;
  host.count(kind, ending);
  stream.reset(SIGNED_CODES[ending], gate?.words(code, words) ?? words);
}
