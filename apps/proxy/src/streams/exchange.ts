import type { AppContext, ChannelStream, SignedCode } from '@sallyport/channel';
import type { Grant } from '@sallyport/security-api';
import type { Backends } from '../backends.ts';

/** What a stream's handler needs of its channel. The grant and context are those of this moment: ask again after waits. */
export interface StreamHost {
  readonly backends: Backends;
  readonly deviceAddress: string;
  grant(): Grant;
  context(): AppContext;
  /** True while this Proxy may serve. Ask last before each write to a backend. */
  mayServe(): boolean;
  /** Counts a finished stream by kind and outcome. */
  count(kind: string, outcome: 'done' | SignedCode): void;
}

/** One stream being served. */
export interface StreamPlace {
  readonly host: StreamHost;
  readonly stream: ChannelStream;
}
