import { type AppContext, type Evidence, equalBytes, type SignedCode } from '@sallyport/channel';
import { isAsStrong, type StandingEvidence, withProven } from '@sallyport/lease';
import type { AttestedRule, Grant } from '@sallyport/security-api';

/** What a device claims, and what the verdict of a grant has proved of it. All times in ms of the monotonic clock. */
export class ProvenContext {
  /** Claims, with what was proved in their place. */
  readonly context: AppContext;
  readonly #verdict: Grant['verdict'];
  readonly #provedAt: number;
  readonly #ends: readonly number[];

  constructor(grant: Grant, claimed: AppContext, receivedAt: number) {
    const { verdict } = grant;
    this.#verdict = verdict;
    this.#provedAt = receivedAt - (verdict?.ageMs ?? 0);
    this.context = verdict ? withProven(claimed, verdict.facts) : claimed;
    this.#ends = verdict ? rulesOf(grant).flatMap((rule) => this.#endOf(rule)) : [];
  }

  /** When the evidence was found good; only to be compared with another one's. */
  get provedAt(): number {
    return this.#verdict ? this.#provedAt : Number.NEGATIVE_INFINITY;
  }

  /** The evidence as it counts now; undefined where there is none. */
  standing(now: number): StandingEvidence | undefined {
    return this.#verdict && { level: this.#verdict.level, ageMs: now - this.#provedAt };
  }

  /** When the evidence becomes too old for one of the rules that it fulfils; Infinity when for none any more. */
  endAfter(now: number): number {
    return this.#ends.reduce((least, end) => (end > now && end < least ? end : least), Number.POSITIVE_INFINITY);
  }

  /** The same context for what the device claims now. */
  claiming(claimed: AppContext): AppContext {
    return this.#verdict ? withProven(claimed, this.#verdict.facts) : claimed;
  }

  #endOf({ level, withinMs }: AttestedRule): number[] {
    return isAsStrong(this.#verdict!.level, level) ? [this.#provedAt + withinMs + 1] : [];
  }
}

function rulesOf({ context, resources }: Grant): AttestedRule[] {
  const all = [context, ...resources.flatMap(({ rules }) => rules.map((rule) => rule.context))];
  return all.flatMap(({ attested }) => (attested ? [attested] : []));
}

/** Evidence that is younger says what is so, whatever the device claims since, ms. */
const SETTLED_MS = 60_000;

/**
 * Whether a device is worth asking for fresh evidence before it is refused: where that is missing, and where what was proved some time ago
 * refuses what its claims of this moment would open, as behind an update of its system.
 */
export function mayFreshEvidenceHelp(
  refused: SignedCode,
  evidence: StandingEvidence | undefined,
  fitsClaimed: () => boolean,
): boolean {
  if (refused === 'ATTESTATION_REQUIRED') return true;
  if (!evidence || evidence.ageMs < SETTLED_MS) return false;
  return (refused === 'CONTEXT_DENIED' || refused === 'APP_UPDATE_REQUIRED') && fitsClaimed();
}

/** How long a device may take for its answer: a phone may have to ask its maker's servers, ms. */
const ANSWER_MS = 20_000;
/** After an answer, or none, nothing is asked again for so long, ms: who waits hears that it was in vain. */
const REST_MS = 5_000;
/** Two readings of the same evidence differ by the way of the answers; another one is newer by more, ms. */
const SAME_MS = 5_000;

/** What asking needs of its channel. */
export interface EvidenceHost {
  /** When the evidence of the present grant was found good. */
  provedAt(): number;
  /** Reads the rights again, and with them the newest verdict; resolves when they are there, or cannot be had. */
  reread(): Promise<void>;
  /** A challenge of Security; undefined when there is none to be had. */
  challenge(): Promise<Uint8Array | undefined>;
  /** Hands the challenge to the device. */
  tell(challenge: Uint8Array): void;
  /** Hands the answer to Security; true when it proved something. */
  deliver(evidence: Evidence): Promise<boolean>;
  /** It is over, with fresh evidence or without: everything is to be decided again. */
  settled(): void;
  failed(error: unknown): void;
}

/**
 * Asks a device for fresh evidence, once at a time: whatever wants it waits together, in bounded time. Another channel of the device may
 * have proved it meanwhile, so the newest verdict is read first. One per channel.
 */
export class EvidenceAsk {
  readonly #host: EvidenceHost;
  #waiting: (() => void)[] = [];
  #isAsking = false;
  #restUntil = Number.NEGATIVE_INFINITY;
  #isRejected = false;
  /** The challenge that the device has, and who takes its answer. */
  #open: { readonly challenge: Uint8Array; take(evidence: Evidence | undefined): void } | undefined;

  constructor(host: EvidenceHost) {
    this.#host = host;
  }

  /** True while an answer of the device is waited for. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** True when the last answer of the device proved nothing. */
  get isRejected(): boolean {
    return this.#isRejected;
  }

  /** Asks, unless it has just been in vain. True while it is worth waiting. */
  ask(now: number): boolean {
    if (this.#isAsking) return true;
    if (now < this.#restUntil) return false;
    this.#isAsking = true;
    void this.#run()
      .catch((error: unknown) => this.#host.failed(error))
      .then(() => this.#settle());
    return true;
  }

  /** Runs work when it is over; at once where nothing is asked. */
  whenOver(work: () => void): void {
    if (this.#isAsking) this.#waiting.push(work);
    else work();
  }

  /** The device has sent evidence; what nobody asked for is worth nothing. */
  answered(evidence: Evidence): void {
    if (this.#open && equalBytes(evidence.challenge, this.#open.challenge)) this.#open.take(evidence);
  }

  /** The channel is over. */
  end(): void {
    this.#waiting = [];
    this.#open?.take(undefined);
  }

  async #run(): Promise<void> {
    this.#isRejected = false;
    const before = this.#host.provedAt();
    await this.#host.reread();
    if (this.#host.provedAt() > before + SAME_MS) return;
    const challenge = await this.#host.challenge();
    const evidence = challenge && (await this.#answerTo(challenge));
    if (!evidence) return;
    this.#isRejected = !(await this.#host.deliver(evidence));
    await this.#host.reread();
  }

  #answerTo(challenge: Uint8Array): Promise<Evidence | undefined> {
    return new Promise((resolve) => {
      const take = (evidence: Evidence | undefined): void => {
        clearTimeout(timer);
        this.#open = undefined;
        resolve(evidence);
      };
      const timer = setTimeout(() => take(undefined), ANSWER_MS);
      this.#open = { challenge, take };
      this.#host.tell(challenge);
    });
  }

  #settle(): void {
    this.#isAsking = false;
    this.#restUntil = performance.now() + REST_MS;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#host.settled();
    for (const work of waiting) work();
  }
}
