import {
  certificateEndsAt,
  join,
  loadIdentity,
  type ProxyIdentity,
  renew,
  storeIdentity,
} from '@sallyport/security-client';
import type { Secret } from '@sallyport/settings';
import type { Log } from '@sallyport/telemetry';

const CHECK_MS = 3_600_000;
/** A certificate is renewed when less than this is left of it, ms. */
const RENEW_BEFORE_MS = 24 * 3_600_000;

/** Who this Proxy is, in a file that is kept as it changes. One belongs to one process. */
export class KeptIdentity {
  readonly #file: string;
  #current: ProxyIdentity;

  private constructor(file: string, identity: ProxyIdentity) {
    this.#file = file;
    this.#current = identity;
  }

  /** Reads the file, or joins by a token. @throws Error when there is neither a certificate that is good nor a token */
  static async open(file: string, token: Secret | undefined): Promise<KeptIdentity> {
    const known = loadIdentity(file);
    if (known && certificateEndsAt(known) > Date.now()) return new KeptIdentity(file, known);
    if (!token)
      throw new Error(
        'this Proxy has no valid certificate: make a join token with "sallyport proxy invite" and set SALLYPORT_JOIN_TOKEN',
      );
    const identity = await join(token.reveal());
    storeIdentity(file, identity);
    return new KeptIdentity(file, identity);
  }

  get current(): ProxyIdentity {
    return this.#current;
  }

  /** Takes over what has changed. */
  keep(changed: Partial<ProxyIdentity>): void {
    this.#current = { ...this.#current, ...changed };
    storeIdentity(this.#file, this.#current);
  }

  /** Renews the certificate well before it ends; `use` puts a new one to work. Gives the function that stops. */
  renewInTime(use: (renewed: ProxyIdentity) => Promise<void>, log: Log): () => void {
    const timer = setInterval(async () => {
      if (certificateEndsAt(this.#current) - Date.now() > RENEW_BEFORE_MS) return;
      try {
        const renewed = await renew(this.#current);
        this.keep(renewed);
        await use(renewed);
        log.info('the certificate was renewed');
      } catch (error) {
        log.error({ err: error }, 'the certificate could not be renewed; the next try is in an hour');
      }
    }, CHECK_MS);
    return () => clearInterval(timer);
  }
}
