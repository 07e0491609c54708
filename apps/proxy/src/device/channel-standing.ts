import {
  type AppContext,
  type CborInput,
  DEFAULT_WS_MESSAGE_BYTES,
  decodeContext,
  findEvidence,
  type HeadLimits,
  HTTP_LIMITS,
  type Multiplexer,
  type SignedCode,
} from '@sallyport/channel';
import type { Backend, Grant } from '@sallyport/security-api';
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
import type { StreamHost } from '../streams/exchange.ts';
import { HeadBudget } from '../streams/head-memory.ts';
import { EvidenceAsk, mayFreshEvidenceHelp, ProvenContext } from './evidence.ts';
import type { RightsReader } from './rights-reader.ts';

/** The channel that stands so. */
export interface StandingChannel {
  readonly mux: Multiplexer;
  readonly reader: RightsReader;
  /** Tells the device, while the channel is open. */
  notify(notice: CborInput): void;
  /** What was decided counts no more: whatever is open is to be decided again, soon. */
  decideAgain(): void;
}

/** What a standing starts from. */
export interface StandingStart {
  readonly serving: Serving;
  readonly channel: StandingChannel;
  /** The device's address. */
  readonly address: string;
  readonly grant: Grant;
  readonly context: AppContext;
}

/** Life of a channel at most, ms. */
const MAX_LIFE_MS = 12 * 3_600_000;
/** When rights that could not be read are asked for again, ms. */
const RETRY_MS = 1_000;

/** Evidence that ages in less is asked for anew while something is open, ms, so that nothing has to stop. */
const EARLY_MS = 30_000;

/** So many characters of a path, in all its readings, cost as much as a small piece. */
const CHARACTERS_OF_A_PIECE = 16;

const ASKED: Decision = { asked: true };

/**
 * How one channel stands at this moment: its grant, what is known of its device, how old the evidence is, and so what its streams may.
 * They ask it directly, and nothing else of their channel. One per channel.
 */
export class ChannelStanding implements StreamHost {
  readonly #serving: Serving;
  readonly #channel: StandingChannel;
  readonly #mux: Multiplexer;
  readonly #reader: RightsReader;
  readonly deviceAddress: string;
  /** The country of that address when the channel opened. */
  readonly #country: string | undefined;
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
    tell: (challenge) => this.#channel.notify({ attest: { challenge } }),
    deliver: async (evidence) => !this.#mux.closed && this.#serving.security.sendEvidence(this.sid, evidence),
    settled: () => this.#decideAgain(),
    failed: (error) => this.#serving.log.warn({ err: error, ...this.about() }, 'evidence could not be asked for'),
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
  /** Grows with every grant and app context, so that what was decided by them is decided again. */
  #version = 1;

  constructor({ serving, channel, address, grant, context }: StandingStart) {
    this.#serving = serving;
    this.#channel = channel;
    this.#mux = channel.mux;
    this.#reader = channel.reader;
    this.deviceAddress = address;
    this.#country = serving.countryOf(address);
    this.#grant = grant;
    this.#claimed = context;
    this.#proven = new ProvenContext(grant, context, performance.now());
    this.#known = this.#know(this.#proven.context);
    this.tenant = new Tenant({ session: grant.sid, user: grant.userId });
    this.take(grant);
  }

  get sid(): string {
    return this.#grant.sid;
  }

  get grant(): Grant {
    return this.#grant;
  }

  get app(): string {
    return `${this.#claimed.id}@${this.#claimed.version}`;
  }

  /** Whose channel it is, for the log. */
  about(): { user: string; sid: string; address: string } {
    return { user: this.#grant.userName, sid: this.#grant.sid, address: this.deviceAddress };
  }

  /** True while a backend that the grant opens has more waiting than it can serve in time. */
  get congested(): boolean {
    return this.#serving.backends.congested(this.#backends, this.tenant);
  }

  /** True once the session is over, or the channel has lived long enough. */
  hasEnded(now: number): boolean {
    return now >= this.#endsAt;
  }

  /** True when it is time to read the rights again. */
  needsRefresh(now: number): boolean {
    return now >= this.#refreshAt;
  }

  /** Rights could not be read: soon once more. */
  refreshSoon(): void {
    this.#refreshAt = performance.now() + RETRY_MS;
  }

  /** Takes a grant. */
  take(grant: Grant): void {
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

  /** Takes what the device claims now, and the evidence with it. */
  claim(cbor: Uint8Array): void {
    this.#claimed = decodeContext(cbor);
    this.#known = this.#know(this.#proven.claiming(this.#claimed));
    const evidence = this.#ask.isOpen ? findEvidence(cbor) : undefined;
    if (evidence) this.#ask.answered(evidence);
    this.#decideAgain();
  }

  /** Evidence of what is open is renewed before it is too old; what nobody renews ends what is open. */
  sweepEvidence(now: number): void {
    if (this.#evidenceEndsAt === Number.POSITIVE_INFINITY || this.#mux.closed) return;
    if (now >= this.#evidenceEndsAt) return this.#evidenceAged(now);
    if (now >= this.#evidenceEndsAt - EARLY_MS && this.#mux.streamCount > 0) this.#ask.ask(now);
  }

  /** The channel is over. */
  end(): void {
    this.tenant.end();
    this.#ask.end();
  }

  /** What was decided counts no more. */
  #decideAgain(): void {
    this.#version += 1;
    this.#channel.decideAgain();
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
    this.#serving.log.error({ err: error, ...this.about() }, 'a stream failed');
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
}
