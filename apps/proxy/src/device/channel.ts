import {
  type AppContext,
  ChannelError,
  type ChannelHost,
  type ChannelLimit,
  type ChannelStream,
  DEFAULT_LIMITS,
  DEFAULT_WS_MESSAGE_BYTES,
  decodeContext,
  type EndCause,
  encodeCbor,
  findEvidence,
  type HeadLimits,
  HTTP_LIMITS,
  Multiplexer,
  RecordLayer,
  SIGNED_CODES,
  type SignedCode,
  type Transport,
} from '@sallyport/channel';
import { effectOn } from '@sallyport/lease';
import type { Backend, Grant, RevocationEntry } from '@sallyport/security-api';
import type { ReadAgain } from '@sallyport/security-client';
import { guardWith } from '@sallyport/telemetry';
import type { Backends } from '../backend/backends.ts';
import type { BackendError } from '../backend/errors.ts';
import { Tenant } from '../backend/tenant.ts';
import {
  type Decided,
  type Decision,
  type DeviceClaims,
  decide,
  headLimitsFor,
  type Wanted,
} from '../serving/rights.ts';
import type { Serving } from '../serving/serving.ts';
import { acceptStream } from '../streams/accept.ts';
import type { Exchange, StreamHost } from '../streams/exchange.ts';
import { HeadBudget } from '../streams/head-memory.ts';
import { EvidenceAsk, mayFreshEvidenceHelp, ProvenContext } from './evidence.ts';
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

/** Life of a channel at most, ms. */
const MAX_LIFE_MS = 12 * 3_600_000;
/** When rights that could not be read are asked for again, ms. */
const RETRY_MS = 1_000;

/** A device that was told to move on, and has nothing open any more, may take so long, ms. */
const LEAVE_MS = 5_000;

/** Evidence that ages in less is asked for anew while something is open, ms, so that nothing has to stop. */
const EARLY_MS = 30_000;

/** So many characters of a path, in all its readings, cost as much as a small piece. */
const CHARACTERS_OF_A_PIECE = 16;

/** What a device is told of an entry that ends its session: what was revoked, not why. */
const CAUSES: Readonly<Partial<Record<RevocationEntry['kind'], EndCause>>> = {
  session: 'session',
  installation: 'installation',
  user: 'user',
  app: 'app',
  before: 'all',
  generation: 'all',
};

const ASKED: Decision = { asked: true };

const due: DeviceChannel[] = [];

function runDue(): void {
  for (const channel of due.splice(0)) channel.runDue();
}

/** One open channel of a device at this Proxy: its keys, grant, app context and streams. */
export class DeviceChannel implements ChannelHost, StreamHost {
  readonly #serving: Serving;
  readonly #listener: ChannelOwner;
  readonly #socket: RecordSocket;
  readonly deviceAddress: string;
  /** The country of that address when the channel opened. */
  readonly #country: string | undefined;
  readonly #mux: Multiplexer;
  readonly tenant: Tenant;
  #grant: Grant;
  /** What the device claims, and where it comes from: that stays while its socket does. */
  #claimed: AppContext;
  /** What is known of the device, with what was proved in the place of claims, but for the age of its evidence. */
  #known: DeviceClaims;
  #proven: ProvenContext;
  /** When evidence becomes too old for a rule, ms of the monotonic clock; Infinity where none does. */
  #evidenceEndsAt = Number.POSITIVE_INFINITY;
  readonly #ask: EvidenceAsk = new EvidenceAsk({
    provedAt: () => this.#proven.provedAt,
    reread: () => this.#reader.anew(),
    challenge: () => this.#serving.security.evidenceChallenge(this.sid),
    tell: (challenge) => this.#notify({ attest: { challenge } }),
    deliver: async (evidence) => !this.#mux.closed && this.#serving.security.sendEvidence(this.sid, evidence),
    settled: () => this.#decideAgain(),
    failed: (error) => this.#serving.log.warn({ err: error, ...this.#about() }, 'evidence could not be asked for'),
  });
  /** Backends that the grant opens. */
  #backends: readonly Backend[] = [];
  #heads: HeadBudget | undefined;
  /** One of them has limits of its own for heads. */
  #wide = false;
  readonly #openedAt: number = performance.now();
  /** When the channel ends and when its rights are read again, ms of the monotonic clock. */
  #endsAt = 0;
  #refreshAt = 0;
  readonly #reader: RightsReader;
  #suspended = false;
  /** Since when it takes no new streams, ms of the monotonic clock. */
  #drainedAt: number | undefined;
  /** `seq` of the site map that the device was told last. */
  #siteMapSeq: number;
  /** Grows with every grant and app context, so that what was decided by them is decided again. */
  #version = 1;
  /** What is to be done at the end of this turn of the event loop. */
  #flush: (() => void) | undefined;
  #recheckDue = false;

  constructor({ serving, listener, socket, address, grant, context, transport, siteMapSeq = -1 }: ChannelStart) {
    this.#siteMapSeq = siteMapSeq;
    this.#serving = serving;
    this.#listener = listener;
    this.#socket = socket;
    this.deviceAddress = address;
    this.#country = serving.countryOf(address);
    this.#grant = grant;
    this.#claimed = context;
    this.#proven = new ProvenContext(grant, context, performance.now());
    this.#known = this.#know(this.#proven.context);
    this.tenant = new Tenant({ session: grant.sid, user: grant.userId });
    this.#mux = new Multiplexer(new RecordLayer(transport), 'proxy', { ...DEFAULT_LIMITS, ...grant.limits }, this);
    this.#reader = new RightsReader(this.#rightsHost());
    this.#take(grant);
  }

  #rightsHost(): RightsHost {
    const mux = this.#mux;
    return {
      get isOver() {
        return mux.closed;
      },
      get isInUse() {
        return mux.streamCount > 0;
      },
      ask: () => this.#serving.security.reauthorise(this.sid),
      came: (rights) => this.#reauthorised(rights),
      failed: (error) => {
        this.#serving.log.warn({ err: error }, 'rights could not be read again');
        this.#refreshAt = performance.now() + RETRY_MS;
      },
      awaited: (index) => this.#listener.reads(this, index),
      known: () => this.#listener.hasRead(this),
    };
  }

  get sid(): string {
    return this.#grant.sid;
  }

  /** Whose channel it is: limits count by these. */
  get owner(): { readonly sid: string; readonly installationId: string; readonly userId: string } {
    return this.#grant;
  }

  get grant(): Grant {
    return this.#grant;
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
      if (error instanceof ChannelError) this.#serving.refused(this.sid, error.message);
      else this.#serving.log.error({ err: error, ...this.#about() }, 'a channel failed');
      this.destroy('CANCELLED');
      return this.#socket.close(1002);
    }
    const owedMs = this.#mux.owedMs();
    if (owedMs === 0) return;
    this.#serving.limited.met('small pieces of a channel', this.#about());
    this.#socket.restFor(owedMs);
  }

  /** The socket took what was sent. */
  drained(): void {
    this.#mux.drained();
  }

  /** Applies a log entry: synchronous, so that nothing of a revoked session is served after it. */
  apply(entry: RevocationEntry): void {
    const effect = effectOn(entry, { grant: this.#grant, app: this.#app });
    if (effect === 'end') this.end('REVOKED', CAUSES[entry.kind]);
    if (effect === 'reauthorise') this.#reader.again(entry.index);
  }

  /** Ends the channel, or reads its rights again, when it is time. */
  sweep(now: number): void {
    this.#socket.sweep(now);
    if (this.#socket.destroyed) return this.destroy('CANCELLED');
    const left = this.#drainedAt !== undefined && now - this.#drainedAt >= LEAVE_MS && this.#mux.streamCount === 0;
    if (left) this.end('DRAINING');
    else if (now >= this.#endsAt) this.end('SESSION_EXPIRED');
    else if (now >= this.#refreshAt) void this.reauthorise();
    this.#sweepEvidence(now);
  }

  /** Evidence of what is open is renewed before it is too old; what nobody renews ends what is open. */
  #sweepEvidence(now: number): void {
    if (this.#evidenceEndsAt === Number.POSITIVE_INFINITY || this.#mux.closed) return;
    if (now >= this.#evidenceEndsAt) return this.#evidenceAged(now);
    if (now >= this.#evidenceEndsAt - EARLY_MS && this.#mux.streamCount > 0) this.#ask.ask(now);
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
    this.tenant.end();
    this.#ask.end();
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
    const judgement = this.#serving.judge({ grant, asOfHash, app: this.#app });
    if (judgement === 'ended') return this.end('REVOKED');
    // Too long ago to know what was revoked since, or rights changed since: read them again before anything is served.
    if (judgement === 'stale') return this.#reader.later();
    this.#reader.fresh();
    // The grant of the beginning was announced by WELCOME.
    if (grant !== this.#grant) this.#notify({ resources: resourceList(grant) });
    // By themselves: both together may be longer than a frame.
    if (routes) this.#notify({ routes });
    this.#take(grant);
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
    this.#atEndOfTurn();
  }

  #atEndOfTurn(): void {
    if (due.push(this) === 1) setImmediate(runDue);
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
    this.#serving.log.error({ err: error, ...this.#about() }, 'a channel failed');
    this.destroy('CANCELLED');
    this.#socket.close(1002);
  }

  limited(limit: ChannelLimit): void {
    this.#serving.limited.met(`${limit} of a channel`, this.#about());
  }

  streamFailed(_stream: ChannelStream, error: unknown): void {
    this.handlerFailed(error);
  }

  refusal(): number | undefined {
    const busy = this.#serving.overloaded() || this.#serving.backends.congested(this.#backends, this.tenant);
    return busy ? SIGNED_CODES.CALM_DOWN : undefined;
  }

  context(cbor: Uint8Array): void {
    this.#claimed = decodeContext(cbor);
    this.#known = this.#know(this.#proven.claiming(this.#claimed));
    const evidence = this.#ask.isOpen ? findEvidence(cbor) : undefined;
    if (evidence) this.#ask.answered(evidence);
    this.#decideAgain();
  }

  /** What was decided counts no more. */
  #decideAgain(): void {
    this.#version += 1;
    // However many came: one look at every stream in a turn of the event loop.
    if (!this.#recheckDue) this.#atEndOfTurn();
    this.#recheckDue = true;
  }

  broken(): void {
    this.#socket.close(1002);
  }

  accept(stream: ChannelStream): Exchange {
    return acceptStream({ host: this, stream });
  }

  // StreamHost: what handlers of streams need.

  get backends(): Backends {
    return this.#serving.backends;
  }

  /** One for all streams of the channel. */
  readonly headLimits = (authority: string): HeadLimits =>
    this.#wide ? headLimitsFor(this.#grant, authority) : HTTP_LIMITS;

  get heads(): HeadBudget {
    this.#heads ??= new HeadBudget();
    return this.#heads;
  }

  decide(wanted: Wanted): Decision {
    const claims = this.#claimsNow;
    const decision = decide(this.#grant, claims, wanted);
    // Who writes paths that can be read in many ways pays for the looking.
    if (decision.characters) this.spend(Math.ceil(decision.characters / CHARACTERS_OF_A_PIECE));
    if (!('refused' in decision)) return decision;
    const fitsClaimed = (): boolean => 'resource' in decide(this.#grant, { ...claims, context: this.#claimed }, wanted);
    return mayFreshEvidenceHelp(decision.refused, claims.evidence, fitsClaimed)
      ? this.#withoutEvidence(decision)
      : decision;
  }

  /** The same with the evidence as it counts at this moment. Without a verdict nothing is made anew for a request. */
  get #claimsNow(): DeviceClaims {
    if (this.#grant.verdict === undefined) return this.#known;
    return { ...this.#known, evidence: this.#proven.standing(performance.now()) };
  }

  #know(context: AppContext): DeviceClaims {
    return { context, evidence: undefined, address: this.deviceAddress, country: this.#country };
  }

  /** Fresh evidence is asked for before anything is refused for want of it. */
  #withoutEvidence(refusal: Decided): Decision {
    if (this.#ask.ask(performance.now())) return ASKED;
    return this.#ask.isRejected ? { refused: 'ATTESTATION_REJECTED' } : refusal;
  }

  get rights(): number {
    if (this.#evidenceEndsAt !== Number.POSITIVE_INFINITY && performance.now() >= this.#evidenceEndsAt)
      this.#evidenceAged(performance.now());
    return this.#reader.isKnown ? this.#version : 0;
  }

  #evidenceAged(now: number): void {
    this.#evidenceEndsAt = this.#proven.endAfter(now);
    this.#decideAgain();
  }

  whenProved(work: () => void): void {
    this.#ask.whenOver(guardWith((error) => this.handlerFailed(error))(work));
  }

  whenReady(work: () => void): void {
    if (this.#reader.isKnown) return work();
    this.#reader.when(guardWith((error) => this.handlerFailed(error))(work));
  }

  mayServe(): boolean {
    return this.#serving.mayServe() && !this.#mux.closed && performance.now() < this.#endsAt;
  }

  refused(rule: string): void {
    this.#serving.refused(this.sid, rule);
  }

  backendFailed(resource: string, error: BackendError): void {
    this.#serving.backendFailed(resource, error);
  }

  handlerFailed(error: unknown): void {
    this.#serving.log.error({ err: error, ...this.#about() }, 'a stream failed');
  }

  get webSocketMessageBytes(): number {
    return this.#grant.limits.webSocketMessageBytes ?? DEFAULT_WS_MESSAGE_BYTES;
  }

  spend(pieces: number): void {
    this.#mux.spend(pieces);
  }

  count(kind: string, outcome: 'done' | SignedCode): void {
    this.#serving.count(kind, outcome);
  }

  get #app(): string {
    return `${this.#claimed.id}@${this.#claimed.version}`;
  }

  /** Ends the streams that would be refused now. */
  #recheck(): void {
    this.#recheckDue = false;
    for (const stream of this.#mux.openStreams()) (stream.sink as Exchange | undefined)?.recheck();
  }

  #about(): { user: string; sid: string; address: string } {
    return { user: this.#grant.userName, sid: this.#grant.sid, address: this.deviceAddress };
  }

  #take(grant: Grant): void {
    this.#grant = grant;
    this.#version += 1;
    this.#backends = grant.resources.map(({ backend }) => backend);
    this.#wide = this.#backends.some(({ fields }) => fields !== undefined);
    const now = performance.now();
    const { expiresInMs, refreshInMs } = grant;
    this.#endsAt = Math.min(now + expiresInMs, this.#openedAt + MAX_LIFE_MS);
    this.#refreshAt = now + refreshInMs;
    this.#proven = new ProvenContext(grant, this.#claimed, now);
    this.#known = this.#know(this.#proven.context);
    this.#evidenceEndsAt = this.#proven.endAfter(now);
  }

  #notify(notice: Parameters<typeof encodeCbor>[0]): void {
    if (!this.#mux.closed) this.#mux.announce(encodeCbor(notice));
  }
}
