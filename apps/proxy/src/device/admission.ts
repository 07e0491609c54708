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
  /** Channels that one session opens, at once; a sixtieth of them comes back each second. */
  readonly opensPerSession: number;
}

/** Whose HELLO it is; the session is what the HELLO says, in hex. */
export interface HelloFrom {
  readonly address: string;
  readonly sid: string;
}

/** A socket's place. */
export interface SocketPlace {
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
const OPENS_REFILL_SECONDS = 60;
/** Sessions whose opened channels are remembered. */
const MAX_SESSIONS = 100_000;

/**
 * Says who may stay before anybody knows who it is: sockets without a channel and failed HELLOs, by address (of IPv6 the
 * /64). Whoever comes gets a place; where there is none any more, who has had one for longest without opening a channel
 * makes room, first of the same address. So strangers never take the places of channels, one address never takes those of
 * the others, and silent sockets keep nobody out.
 */
export class SocketAdmission {
  readonly #refusals: Refusals;
  readonly #maxStrangers: number;
  readonly #maxOfAddress: number;
  /** In the order in which they came; of each address likewise. */
  readonly #strangers = new Set<Stranger>();
  readonly #byAddress = new Map<string, Set<Stranger>>();
  readonly #hellos: Buckets;
  readonly #opens: Buckets;

  constructor(limits: AdmissionLimits, refusals: Refusals) {
    this.#refusals = refusals;
    const { hellosPerAddress: hellos, opensPerSession: opens } = limits;
    this.#hellos = new Buckets({ burst: hellos, rate: hellos / REFILL_SECONDS, keys: MAX_ADDRESSES });
    this.#opens = new Buckets({ burst: opens, rate: opens / OPENS_REFILL_SECONDS, keys: MAX_SESSIONS });
    this.#maxStrangers = Math.max(1, Math.floor(limits.maxSockets / STRANGERS_PART));
    this.#maxOfAddress = Math.min(limits.socketsPerAddress, Math.max(1, Math.floor(this.#maxStrangers / ADDRESS_PART)));
  }

  /** Sockets without a channel. */
  get strangers(): number {
    return this.#strangers.size;
  }

  /** A place for a socket that nobody knows yet, whose address may not be known either. `end` ends the socket. */
  enter(address: string | undefined, end: () => void): SocketPlace {
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

  /**
   * Ms until a HELLO may be asked about, 0 at once. It is counted for its address until `proved` says that it opened a channel.
   * A session is stopped only by what it opened itself: nobody else can use that up, because only a right HELLO opens.
   */
  helloWaitMs({ address, sid }: HelloFrom, now: number): number {
    const opensMs = this.#opens.of(sid, now).waitMs(now);
    if (opensMs > 0) {
      this.#refusals.met('channels opened by a session', { address });
      return opensMs;
    }
    const hellos = this.#hellos.of(addressKey(address), now);
    if (hellos.take(now)) return 0;
    this.#refusals.met('HELLOs of an address', { address });
    return hellos.waitMs(now);
  }

  /** The HELLO opened a channel. What has been forgotten since it was asked about needs nothing. */
  proved({ address, sid }: HelloFrom, now: number): void {
    this.#hellos.known(addressKey(address))?.spend(-1, now);
    this.#opens.known(sid)?.spend(1, now);
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
}

/** Token buckets by key; of more than `keys` the longest unused is forgotten. */
export class Buckets {
  readonly #of: { readonly burst: number; readonly rate: number; readonly keys: number };
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(of: { readonly burst: number; readonly rate: number; readonly keys: number }) {
    this.#of = of;
  }

  /** The bucket of a key, as it was left; undefined when it is forgotten. */
  known(key: string): TokenBucket | undefined {
    return this.#buckets.get(key);
  }

  of(key: string, now: number): TokenBucket {
    const { burst, rate, keys } = this.#of;
    const bucket = this.#buckets.get(key) ?? new TokenBucket(burst, rate, now);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > keys) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}
