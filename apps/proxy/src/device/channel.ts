import {
  type AppContext,
  type CborInput,
  ChannelError,
  type ChannelHost,
  type ChannelLimit,
  type ChannelStream,
  DEFAULT_LIMITS,
  type EndCause,
  encodeCbor,
  Multiplexer,
  RecordLayer,
  SIGNED_CODES,
  type SignedCode,
  type Transport,
} from '@sallyport/channel';
import { effectOn } from '@sallyport/lease';
import type { Grant, RevocationEntry } from '@sallyport/security-api';
import type { ReadAgain } from '@sallyport/security-client';
import type { Serving } from '../serving/serving.ts';
import { acceptStream } from '../streams/accept.ts';
import type { Exchange } from '../streams/exchange.ts';
import { ChannelStanding } from './channel-standing.ts';
import { atEndOfTurn } from './end-of-turn.ts';
import type { RecordSocket } from './record-socket.ts';
import { resourceList } from './resource-list.ts';
import { type RightsHost, RightsReader } from './rights-reader.ts';

/** What hears of a channel. */
export interface ChannelOwner {
  /**
   * It reads its rights again, and something is open on it or waits. `index` is the entry that changed them, if one did: it is in
   * force only when the rights are there.
   */
  reads(channel: DeviceChannel, index: number | undefined): void;
  /** Its rights are known again. */
  hasRead(channel: DeviceChannel): void;
  /** It is over. */
  forget(channel: DeviceChannel): void;
}

/** What a channel starts from. */
export interface ChannelStart {
  readonly serving: Serving;
  readonly listener: ChannelOwner;
  readonly socket: RecordSocket;
  /** The device's address. */
  readonly address: string;
  readonly grant: Grant;
  readonly context: AppContext;
  readonly transport: Transport;
  /** `seq` of the site map that WELCOME named. */
  readonly siteMapSeq?: number | undefined;
}

/** A newer site map, as devices are told of it. */
export interface SiteMapNews {
  readonly seq: number;
  /** The NOTICE with it, encoded once for all. */
  readonly notice: Uint8Array;
}

/** A device that was told to move on, and has nothing open any more, may take so long, ms. */
const LEAVE_MS = 5_000;

/** What a device is told of an entry that ends its session: what was revoked, not why. */
const CAUSES: Readonly<Partial<Record<RevocationEntry['kind'], EndCause>>> = {
  session: 'session',
  installation: 'installation',
  user: 'user',
  app: 'app',
  before: 'all',
  generation: 'all',
};

/**
 * One open channel of a device at this Proxy: its records and notices, what ends it, and its streams, which ask how it stands
 * (`ChannelStanding`).
 */
export class DeviceChannel implements ChannelHost {
  readonly #serving: Serving;
  readonly #listener: ChannelOwner;
  readonly #socket: RecordSocket;
  readonly #mux: Multiplexer;
  readonly #reader: RightsReader;
  readonly standing: ChannelStanding;
  #suspended = false;
  /** Since when it takes no new streams, ms of the monotonic clock. */
  #drainedAt: number | undefined;
  /** `seq` of the site map that the device was told last. */
  #siteMapSeq: number;
  /** What is to be done at the end of this turn of the event loop. */
  #flush: (() => void) | undefined;
  #recheckDue = false;

  constructor({ serving, listener, socket, address, grant, context, transport, siteMapSeq = -1 }: ChannelStart) {
    this.#siteMapSeq = siteMapSeq;
    this.#serving = serving;
    this.#listener = listener;
    this.#socket = socket;
    const mux = new Multiplexer(new RecordLayer(transport), 'proxy', { ...DEFAULT_LIMITS, ...grant.limits }, this);
    const reader = new RightsReader(this.#rightsHost(mux));
    this.#mux = mux;
    this.#reader = reader;
    const channel = {
      mux,
      reader,
      notify: (notice: CborInput) => this.#notify(notice),
      decideAgain: () => this.#decideAgain(),
    };
    this.standing = new ChannelStanding({ serving, channel, address, grant, context });
  }

  #rightsHost(mux: Multiplexer): RightsHost {
    return {
      get isOver() {
        return mux.closed;
      },
      get isInUse() {
        return mux.streamCount > 0;
      },
      ask: (asker) => this.#serving.security.reauthorise(this.grant.sid, asker),
      came: (rights) => this.#reauthorised(rights),
      failed: (error) => {
        this.#serving.log.warn({ err: error }, 'rights could not be read again');
        this.standing.refreshSoon();
      },
      awaited: (index) => this.#listener.reads(this, index),
      known: () => this.#listener.hasRead(this),
    };
  }

  /** Whose channel it is: limits count by these. */
  get owner(): { readonly sid: string; readonly installationId: string; readonly userId: string } {
    return this.grant;
  }

  get grant(): Grant {
    return this.standing.grant;
  }

  get streamCount(): number {
    return this.#mux.streamCount;
  }

  /** Handles one record; a violation ends the channel without detail. */
  receive(record: Uint8Array): void {
    this.#serving.traffic.bytes += record.length;
    try {
      this.#mux.receive(record);
    } catch (error) {
      if (!(error instanceof ChannelError)) return this.fail(error);
      this.#serving.refused(this.grant.sid, error.message);
      this.destroy('CANCELLED');
      return this.#socket.close(1002);
    }
    const owedMs = this.#mux.owedMs();
    if (owedMs === 0) return;
    this.#serving.limited.met('small pieces of a channel', this.standing.about());
    this.#socket.restFor(owedMs);
  }

  /** The socket took what was sent. */
  drained(): void {
    this.#mux.drained();
  }

  /** Applies a log entry: synchronous, so that nothing of a revoked session is served after it. */
  apply(entry: RevocationEntry): void {
    const { grant, app } = this.standing;
    const effect = effectOn(entry, { grant, app });
    if (effect === 'end') this.end('REVOKED', CAUSES[entry.kind]);
    if (effect === 'refuse') this.end('CONTEXT_DENIED', CAUSES[entry.kind]);
    if (effect === 'reauthorise') this.#reader.again(entry.index);
  }

  /** Ends the channel, or reads its rights again, when it is time. */
  sweep(now: number): void {
    this.#socket.sweep(now);
    if (this.#socket.destroyed) return this.destroy('CANCELLED');
    const left = this.#drainedAt !== undefined && now - this.#drainedAt >= LEAVE_MS && this.#mux.streamCount === 0;
    if (left) this.end('DRAINING');
    else if (this.standing.hasEnded(now)) this.end('SESSION_EXPIRED');
    else if (this.standing.needsRefresh(now)) void this.reauthorise();
    this.standing.sweepEvidence(now);
  }

  /** Says goodbye with an authenticated code and closes; the cause is for people. */
  end(code: SignedCode, cause?: EndCause): void {
    if (this.#mux.closed) return;
    if (cause) this.#notify({ code, cause });
    this.#mux.goaway(SIGNED_CODES[code]);
    this.#mux.flush();
    this.destroy(code);
    this.#socket.close(1000);
  }

  /** The realm's site map is another one: the device is told, once. */
  tellSiteMap({ seq, notice }: SiteMapNews): void {
    if (this.#mux.closed || seq <= this.#siteMapSeq) return;
    this.#siteMapSeq = seq;
    this.#mux.announce(notice);
  }

  /** Takes no new streams; open ones may finish. */
  drain(): void {
    if (this.#mux.closed || this.#drainedAt !== undefined) return;
    this.#drainedAt = performance.now();
    this.#mux.goaway(SIGNED_CODES.DRAINING);
  }

  /** Ends all work at once; the socket is gone or about to be. */
  destroy(code: SignedCode): void {
    this.#mux.destroy(SIGNED_CODES[code]);
    this.standing.end();
    this.#listener.forget(this);
  }

  /** The lease is lost: everything open stops, the channel waits. */
  suspend(): void {
    if (this.#suspended) return;
    this.#suspended = true;
    this.#mux.resetAll(SIGNED_CODES.LEASE_LOST);
    this.#notify({ code: 'LEASE_LOST' });
  }

  /** The lease is back. */
  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.#notify({ code: 'RESUMED' });
  }

  /** Reads the rights again. */
  reauthorise(): Promise<void> {
    return this.#reader.read();
  }

  #reauthorised(rights: Parameters<RightsHost['came']>[0]): void {
    if (rights === 'over') return this.end('SESSION_EXPIRED');
    // Security knows nothing of this channel: the device opens another one.
    if (rights === 'no channel') return this.end('LEASE_LOST');
    this.use({ ...rights, grant: this.#serving.shared(rights.grant) });
  }

  /**
   * Takes a grant, after it was held against everything that was revoked since it was read. Routes are for the device, which alone
   * can read them.
   */
  use({ grant, asOfHash, routes }: ReadAgain): void {
    const judgement = this.#serving.judge({ grant, asOfHash, app: this.standing.app });
    if (judgement === 'ended') return this.end('REVOKED');
    if (judgement === 'refused') return this.end('CONTEXT_DENIED', 'app');
    // Too long ago to know what was revoked since, or rights changed since: read them again before anything is served.
    if (judgement === 'stale') return this.#reader.later();
    this.#reader.fresh();
    // The grant of the beginning was announced by WELCOME.
    if (grant !== this.grant) this.#notify({ resources: resourceList(grant) });
    // By themselves: both together may be longer than a frame.
    if (routes) this.#notify({ routes });
    this.standing.take(grant);
    this.#recheck();
    this.#reader.settled();
  }

  // ChannelHost: what the multiplexer needs.

  outgoing(bytes: number): Uint8Array {
    return this.#socket.outgoing(bytes);
  }

  transmit(record: Uint8Array): void {
    this.#serving.traffic.bytes += record.length;
    this.#socket.transmit(record);
  }

  backlogBytes(): number {
    return this.#socket.bufferedBytes;
  }

  now(): number {
    return performance.now();
  }

  /** At the end of the turn of the event loop: what came from several backends meanwhile shares a record. */
  schedule(flush: () => void): void {
    this.#flush = flush;
    atEndOfTurn(this);
  }

  /** Does what was put off to the end of the turn. A fault ends this channel, and leaves the others alone. */
  runDue(): void {
    const flush = this.#flush;
    this.#flush = undefined;
    try {
      if (this.#recheckDue) this.#recheck();
      flush?.();
    } catch (error) {
      this.fail(error);
    }
  }

  /** A defect of ours: this channel ends, without detail. */
  fail(error: unknown): void {
    this.#serving.log.error({ err: error, ...this.standing.about() }, 'a channel failed');
    this.destroy('CANCELLED');
    this.#socket.close(1002);
  }

  limited(limit: ChannelLimit): void {
    this.#serving.limited.met(`${limit} of a channel`, this.standing.about());
  }

  streamFailed(_stream: ChannelStream, error: unknown): void {
    this.standing.handlerFailed(error);
  }

  vacated(): void {
    if (this.#mux.streamCount === 0) this.#reader.unused();
  }

  refusal(): number | undefined {
    return this.#serving.overloaded() || this.standing.congested ? SIGNED_CODES.CALM_DOWN : undefined;
  }

  context(cbor: Uint8Array): void {
    this.standing.claim(cbor);
  }

  broken(): void {
    this.#socket.close(1002);
  }

  accept(stream: ChannelStream): Exchange {
    return acceptStream({ host: this.standing, stream });
  }

  /** However often it is asked for: one look at every stream in a turn of the event loop. */
  #decideAgain(): void {
    if (!this.#recheckDue) atEndOfTurn(this);
    this.#recheckDue = true;
  }

  /** Ends the streams that would be refused now. */
  #recheck(): void {
    this.#recheckDue = false;
    for (const stream of this.#mux.openStreams()) (stream.sink as Exchange | undefined)?.recheck();
  }

  #notify(notice: CborInput): void {
    if (!this.#mux.closed) this.#mux.announce(encodeCbor(notice));
  }
}
