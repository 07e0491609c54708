import type { EndCause, SignedCode } from '@sallyport/channel';
import { DeviceError, type DeviceErrorCode, remoteError } from '../errors.ts';

/** Codes with which a Proxy lets nobody in again, and what they are about: the session is over, or the app and its device do not fit. */
const NO_WAY_IN: ReadonlyMap<SignedCode, 'session' | 'context'> = new Map([
  ['REVOKED', 'session'],
  ['SESSION_EXPIRED', 'session'],
  ['REENROLL_REQUIRED', 'session'],
  ['APP_UPDATE_REQUIRED', 'context'],
  ['CONTEXT_DENIED', 'context'],
]);

const FIRST_MS = 100;
/** The longest wait while another Proxy may think otherwise, and when none does, ms. */
const LONGEST_MS = 5_000;
const SHUT_LONGEST_MS = 300_000;

/** True for what a Proxy says that lets nobody in again. It ends no session: that is Security's to say (SPEC.md, section 8). */
export function isRefusal(code: DeviceErrorCode | undefined): code is SignedCode {
  return code !== undefined && NO_WAY_IN.has(code as SignedCode);
}

/**
 * What Proxies refused to a session that Security did not end: how long whoever was refused keeps its distance, and what is told to who
 * asks meanwhile. One per connection.
 */
export class ProxyRefusals {
  #count = 0;
  #error: DeviceError | undefined;
  #shut = false;

  /** What is told to who asks while every Proxy refuses; undefined while one of them may not. */
  get error(): DeviceError | undefined {
    return this.#shut ? this.#error : undefined;
  }

  /** True when a Proxy refused, and nothing was good since. */
  get any(): boolean {
    return this.#count > 0;
  }

  /** A Proxy refused, for that cause where it said so, and Security does not say the same. */
  met(code: SignedCode, cause: EndCause | undefined): void {
    this.#count += 1;
    this.#error = errorOf(code, cause);
  }

  /** Every Proxy has refused, as many as there are: nobody asks one for a while. */
  shuts(places: number): boolean {
    this.#shut = this.#count >= places;
    return this.#shut;
  }

  /** They are asked again. */
  reopen(): void {
    this.#shut = false;
  }

  /** How long until the next try: longer each time, ms. */
  delayMs(): number {
    const most = this.#shut ? SHUT_LONGEST_MS : LONGEST_MS;
    return Math.min(most, FIRST_MS * 2 ** Math.min(this.#count - 1, 16)) * (0.5 + Math.random());
  }

  /** What was refused before is past. */
  forget(): void {
    this.#count = 0;
    this.#shut = false;
  }
}

function errorOf(code: SignedCode, cause: EndCause | undefined): DeviceError {
  if (NO_WAY_IN.get(code) === 'context') return remoteError(code, { mayHaveRun: false, cause });
  const words = `a Proxy ends the session (${code}), and Security does not say that it is over`;
  return new DeviceError('UNAVAILABLE', words, { mayHaveRun: false });
}
