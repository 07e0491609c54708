import { rmSync } from 'node:fs';
import { lifeOf } from '@sallyport/certificates';
import type { StartWait } from '@sallyport/http-service';
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
import { joinKeyFile, keptJoinKey } from './join-key.ts';
import { openPodIdentity, type PodSettings } from './pod-identity.ts';

/** A certificate is looked at so often in its life, and this often at least, ms; it is renewed when half of it is over. */
const LOOKS = 16;
const CHECK_MS = 3_600_000;

/** Who this Proxy is, in a file that is kept as it changes. One belongs to one process. */
export class KeptIdentity {
  readonly #file: string;
  #current: ProxyIdentity;

  private constructor(file: string, identity: ProxyIdentity) {
    this.#file = file;
    this.#current = identity;
  }

  /** Of a pod that its cluster vouches for: reads the file, or joins by the token of the service account. */
  static async openPod(file: string, pod: PodSettings, wait: StartWait): Promise<KeptIdentity> {
    return new KeptIdentity(file, await openPodIdentity(file, pod, wait));
  }

  /**
   * Reads the file, or joins by a token; waits while Security does not answer.
   * @throws Error when there is neither a certificate that is good nor a token, or Security refuses the token
   */
  static async open(file: string, token: Secret | undefined, wait: StartWait): Promise<KeptIdentity> {
    const known = loadIdentity(file);
    if (known && certificateEndsAt(known) > Date.now()) return new KeptIdentity(file, known);
    if (!token)
      throw new Error(
        'this Proxy has no valid certificate: make a join token with "sallyport proxy invite" and set SALLYPORT_JOIN_TOKEN',
      );
    const key = await keptJoinKey(file, known?.key);
    const identity = await wait.through(() => join(token.reveal(), key));
    storeIdentity(file, identity);
    // It is in the identity now, until that is renewed.
    rmSync(joinKeyFile(file));
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
  renewInTime(use: (renewed: ProxyIdentity) => Promise<void>, log: Log): { now(): void; stop(): void } {
    let timer: NodeJS.Timeout;
    let renewing: Promise<void> | undefined;
    const now = (): Promise<void> => {
      renewing ??= this.#renew(use, log).finally(() => {
        renewing = undefined;
      });
      return renewing;
    };
    const wait = (): void => {
      const { beginsAt, endsAt } = lifeOf(this.#current.certificate);
      timer = setTimeout(() => void look(), Math.min(CHECK_MS, (endsAt - beginsAt) / LOOKS));
    };
    const look = async (): Promise<void> => {
      const { beginsAt, endsAt } = lifeOf(this.#current.certificate);
      if (Date.now() > (beginsAt + endsAt) / 2) await now();
      wait();
    };
    wait();
    return { now: () => void now(), stop: () => clearTimeout(timer) };
  }

  async #renew(use: (renewed: ProxyIdentity) => Promise<void>, log: Log): Promise<void> {
    try {
      const renewed = await renew(this.#current);
      this.keep(renewed);
      await use(renewed);
      log.info('the certificate was renewed');
    } catch (error) {
      log.error({ err: error }, 'the certificate could not be renewed; it is tried again');
    }
  }
}
