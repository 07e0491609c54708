import { type AccessContext, recordCertificates } from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';
import { openRealmKeys } from '../keys/keys.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import type { NodeListeners } from '../listeners.ts';
import type { TrustedFiles } from './trusted-files.ts';

/** When keys and own certificates could not be renewed, it is tried again after, ms. */
const AGAIN_MS = 600_000;
/** What listeners show is looked at this often, so that the registry has it, ms. */
const TELL_MS = 1_000;

/** What is renewed, and how. */
export interface RenewalParts {
  readonly access: AccessContext;
  readonly liveKeys: LiveKeys;
  readonly listeners: Pick<NodeListeners, 'renew' | 'shown'>;
  /** What else the registry is told of. */
  readonly files?: Pick<TrustedFiles, 'shown'>;
  /** Name of this node. */
  readonly id: string;
  /** Host names and addresses in the certificates of the listeners. */
  readonly names: readonly string[];
  /** How long certificates of listeners are good, and how often they are renewed: well within that, ms. */
  readonly lifeMs: number;
  readonly everyMs?: number;
  /** Other CAs count from now on, PEM: whoever reads them from a file has them there. */
  readonly trusted?: (authorities: readonly string[]) => void;
  readonly log: Log;
}

/** Keeps the keys of the realm and the certificates of this node's listeners fresh. One belongs to one process. */
export class Renewal {
  readonly #parts: RenewalParts;
  #timer: NodeJS.Timeout | undefined;
  #telling: NodeJS.Timeout | undefined;
  #told = '';
  /** Those that the listeners work with, the one that issues first. */
  #authorities: string;

  constructor(parts: RenewalParts) {
    this.#parts = parts;
    this.#authorities = parts.liveKeys.current.authorities.join();
  }

  /** Keys that this node works with: a CA that its listeners do not trust yet is none. */
  get knownKeys(): readonly string[] {
    const { lastingIds, authorities } = this.#parts.liveKeys.current;
    return authorities.join() === this.#authorities ? lastingIds : [];
  }

  get #everyMs(): number {
    return this.#parts.everyMs ?? this.#parts.lifeMs / 4;
  }

  start(): void {
    const next = async (): Promise<void> => {
      const waitMs = await this.renew().then(
        () => this.#everyMs,
        (error: unknown) => {
          this.#parts.log.error({ err: error }, 'keys and server certificate could not be renewed');
          return Math.min(AGAIN_MS, this.#everyMs / 2);
        },
      );
      if (this.#timer) this.#timer = setTimeout(() => void next(), waitMs);
    };
    this.#timer = setTimeout(() => void next(), this.#everyMs);
    const tell = async (): Promise<void> => {
      // The database may be away; then it is told later.
      await this.#follow().catch(() => undefined);
      if (this.#telling) this.#telling = setTimeout(() => void tell(), TELL_MS);
    };
    this.#telling = setTimeout(() => void tell(), 0);
  }

  /**
   * Reads the realm's keys again, which makes a new handshake key when the newest gets old, and renews the certificates of
   * the listeners. Both well before the old ones end.
   */
  async renew(): Promise<void> {
    const { access, liveKeys, listeners, names, lifeMs } = this.#parts;
    const keys = await openRealmKeys(access);
    liveKeys.use(keys);
    listeners.renew(await keys.ca.issueServer(names, Date.now(), lifeMs), keys.authorities);
    this.#trust(keys.authorities);
  }

  /** A file that cannot be written keeps no CA from being used. */
  #trust(authorities: readonly string[]): void {
    const { trusted, log } = this.#parts;
    if (authorities.join() === this.#authorities) return;
    this.#authorities = authorities.join();
    try {
      trusted?.(authorities);
    } catch (error) {
      log.error({ err: error }, 'the file with our CAs could not be written: it has those of before');
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#telling);
    [this.#timer, this.#telling] = [undefined, undefined];
  }

  /** Another CA issues, or is trusted, from now on. */
  async #follow(): Promise<void> {
    if (this.#parts.liveKeys.current.authorities.join() !== this.#authorities) await this.renew();
    await this.#tell();
  }

  /** What the listeners show goes into the registry when it has changed. */
  async #tell(): Promise<void> {
    const { access, listeners, files, id } = this.#parts;
    const shown = [...listeners.shown, ...(files?.shown ?? [])].map((one) => ({
      ...one,
      trouble: one.trouble ?? null,
    }));
    const text = JSON.stringify(shown);
    if (text === this.#told) return;
    await recordCertificates(access, { kind: 'node', name: id }, shown);
    this.#told = text;
  }
}
