import { TokenBucket } from '@sallyport/channel';
import { addressKey } from '@sallyport/settings';
import type { Refusals } from '@sallyport/telemetry';

/** How many strangers are let in. */
export interface AdmissionLimits {
  /** Sockets at once, with and without a channel. */
  readonly maxSockets: number;
  /** Sockets of one address without a channel at once; never more than an eighth of all. */
  readonly socketsPerAddress: number;
  /** HELLOs of one address that open nothing, at once; a twentieth of them comes back each second. */
  readonly hellosPerAddress: number;
}

/** A socket's place. */
export interface Place {
  /** The socket has a channel now, or is gone: it counts as that of a user, no longer as that of an address. */
  leave(): void;
  /** Counts the socket for the address that a load balancer named. */
  belongsTo(address: string): void;
}

/** A socket without a channel. */
interface Stranger {
  key: string | undefined;
  /** Ends it: others need its place. */
  readonly end: () => void;
}

/** Addresses whose HELLOs are remembered; above it the longest unused is forgotten. */
const MAX_ADDRESSES = 10_000;
/** Part of all places that sockets without a channel may have: the rest is kept for those with one. */
const STRANGERS_PART = 2;
/** Part of the strangers' places that one address may have. */
const ADDRESS_PART = 4;
const REFILL_SECONDS = 20;

/**
 * Says who may stay before anybody knows who it is: sockets without a channel and failed HELLOs, by address (of IPv6 the
 * /64). Whoever comes gets a place; where there is none any more, who has had one for longest without opening a channel
 * makes room, first of the same address. So strangers never take the places of channels, one address never takes those of
 * the others, and silent sockets keep nobody out.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #refusals: Refusals;
  readonly #maxStrangers: number;
  readonly #maxOfAddress: number;
  /** In the order in which they came; of each address likewise. */
  readonly #strangers = new Set<Stranger>();
  readonly #byAddress = new Map<string, Set<Stranger>>();
  readonly #hellos = new Map<string, TokenBucket>();

  constructor(limits: AdmissionLimits, refusals: Refusals) {
    this.#limits = limits;
    this.#refusals = refusals;
    this.#maxStrangers = Math.max(1, Math.floor(limits.maxSockets / STRANGERS_PART));
    this.#maxOfAddress = Math.min(limits.socketsPerAddress, Math.max(1, Math.floor(this.#maxStrangers / ADDRESS_PART)));
  }

  /** Sockets without a channel. */
  get strangers(): number {
    return this.#strangers.size;
  }

  /** A place for a socket that nobody knows yet, whose address may not be known either. `end` ends the socket. */
  enter(address: string | undefined, end: () => void): Place {
    const stranger: Stranger = { key: undefined, end };
    this.#strangers.add(stranger);
    if (address !== undefined) this.#belongs(stranger, address);
    if (this.#strangers.size > this.#maxStrangers) this.#makeRoom(this.#strangers, 'sockets without a channel');
    return {
      leave: () => this.#remove(stranger),
      belongsTo: (real) => {
        if (this.#strangers.has(stranger)) this.#belongs(stranger, real);
      },
    };
  }

  /** Ms until an address may send a HELLO. One that may is counted until `proved` says that it opened a channel. */
  helloWaitMs(address: string, now: number): number {
    const bucket = this.#helloBucket(addressKey(address), now);
    if (bucket.take(now)) return 0;
    this.#refusals.met('HELLOs of an address', { address });
    return bucket.waitMs(now);
  }

  proved(address: string, now: number): void {
    this.#helloBucket(addressKey(address), now).spend(-1, now);
  }

  #belongs(stranger: Stranger, address: string): void {
    this.#forgetAddress(stranger);
    stranger.key = addressKey(address);
    const same = this.#byAddress.get(stranger.key) ?? new Set();
    this.#byAddress.set(stranger.key, same.add(stranger));
    if (same.size > this.#maxOfAddress) this.#makeRoom(same, 'sockets of an address');
  }

  /** The one that came first goes. */
  #makeRoom(among: ReadonlySet<Stranger>, limit: string): void {
    const [first] = among;
    if (!first) return;
    this.#refusals.met(limit, { address: first.key });
    this.#remove(first);
    first.end();
  }

  #remove(stranger: Stranger): void {
    if (this.#strangers.delete(stranger)) this.#forgetAddress(stranger);
  }

  #forgetAddress(stranger: Stranger): void {
    const { key } = stranger;
    if (key === undefined) return;
    const same = this.#byAddress.get(key);
    same?.delete(stranger);
    if (same?.size === 0) this.#byAddress.delete(key);
  }

  #helloBucket(key: string, now: number): TokenBucket {
    const { hellosPerAddress: burst } = this.#limits;
    const bucket = this.#hellos.get(key) ?? new TokenBucket(burst, burst / REFILL_SECONDS, now);
    this.#hellos.delete(key);
    this.#hellos.set(key, bucket);
    if (this.#hellos.size > MAX_ADDRESSES) this.#hellos.delete(this.#hellos.keys().next().value!);
    return bucket;
  }
}
