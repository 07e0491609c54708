import { createHash } from 'node:crypto';
import { Client, type SFTPWrapper } from 'ssh2';
import { TargetError } from './errors.ts';

/** A server that speaks SFTP, and what opens it. */
export interface SftpPlace {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The private key of the user, in a form of OpenSSH or PEM, without a passphrase. */
  readonly privateKey: string;
  /** Fingerprints of host keys that it may show, as `ssh-keygen -l` prints them: `SHA256:…`. */
  readonly hostKeys: readonly string[];
  /** It may be silent for so long, ms. */
  readonly silenceMs: number;
}

/** Status codes of SFTP (draft-ietf-secsh-filexfer-02, section 7) that say what happened; 4 says nothing but "failure". */
export const STATUS = { missing: 2, denied: 3, failure: 4, unsupported: 8 } as const;

/** Where an answer of the server arrives. */
type Answered<T> = (error: Error | undefined | null, value?: T) => void;

/** One connection to the server: whatever it is asked is answered in time, or the connection is given up. */
export class SftpSession {
  readonly #client: Client;
  readonly #place: SftpPlace;
  readonly #about: string;
  #sftp: SFTPWrapper | undefined;
  readonly #waiting = new Set<(error: unknown) => void>();
  #lost: TargetError | undefined;

  private constructor(place: SftpPlace, about: string) {
    this.#client = new Client();
    this.#place = place;
    this.#about = about;
  }

  /**
   * Connects, and lets nobody in whose host key is not one of those that are known. `about` names the target in errors.
   * @throws TargetError ERR_TARGET_DENIED for another host key, or when the server refuses ours
   */
  static async connect(place: SftpPlace, about: string): Promise<SftpSession> {
    const session = new SftpSession(place, about);
    try {
      await session.#connect();
      session.#sftp = await session.call((_, done) => session.#client.sftp(done));
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** False once the connection is gone. */
  get lives(): boolean {
    return this.#lost === undefined;
  }

  /**
   * Asks the server for one thing. An error of the server is thrown as it is, with its status code.
   * @throws TargetError ERR_TARGET_SLOW when it does not answer in time, ERR_TARGET_GONE when the connection ends
   */
  async call<T>(ask: (sftp: SFTPWrapper, done: Answered<T>) => void): Promise<T> {
    if (this.#lost) throw this.#lost;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => this.#giveUp(), this.#place.silenceMs);
    this.#waiting.add(reject);
    ask(this.#sftp!, (error, value) => (error ? reject(this.#lost ?? error) : resolve(value as T)));
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(reject);
    });
  }

  close(): void {
    this.#lost ??= new TargetError('ERR_TARGET_GONE', `${this.#about} was let go of`);
    this.#client.destroy();
  }

  #connect(): Promise<void> {
    const { host, port, user: username, privateKey, hostKeys, silenceMs } = this.#place;
    return new Promise((resolve, reject) => {
      this.#client.once('ready', () => {
        this.#client.setNoDelay(true);
        resolve();
      });
      this.#client.on('error', (cause: Error & { level?: string }) => {
        const denied = cause.level === 'client-authentication';
        this.#lost ??= denied
          ? new TargetError('ERR_TARGET_DENIED', `${this.#about} does not take the key of ${username}`, { cause })
          : this.#failed(cause);
        reject(this.#lost);
      });
      this.#client.once('close', () => {
        this.#lost ??= this.#gone();
        for (const refuse of [reject, ...this.#waiting]) refuse(this.#lost);
      });
      const hostVerifier = (key: Buffer): boolean => {
        const found = fingerprintOf(key);
        if (hostKeys.includes(found)) return true;
        this.#lost = new TargetError(
          'ERR_TARGET_DENIED',
          `${this.#about} shows the host key ${found}, which is not known`,
        );
        return false;
      };
      const keepalive = { keepaliveInterval: Math.ceil(silenceMs / 3), keepaliveCountMax: 3 };
      this.#client.connect({ host, port, username, privateKey, hostVerifier, readyTimeout: silenceMs, ...keepalive });
    });
  }

  #failed(cause: Error & { level?: string; code?: string }): TargetError {
    if (cause.level === 'client-timeout') return new TargetError('ERR_TARGET_SLOW', this.#silent(), { cause });
    return new TargetError('ERR_TARGET_GONE', `${this.#about} cannot be reached (${cause.code ?? cause.message})`, {
      cause,
    });
  }

  #silent(): string {
    return `${this.#about}: nothing was heard for ${this.#place.silenceMs / 1_000} s`;
  }

  #gone(): TargetError {
    return new TargetError('ERR_TARGET_GONE', `${this.#about} ended the connection`);
  }

  /** A server that is stopped never closes either: nobody waits for that. */
  #giveUp(): void {
    this.#lost ??= new TargetError('ERR_TARGET_SLOW', this.#silent());
    this.#client.destroy();
    for (const refuse of this.#waiting) refuse(this.#lost);
  }
}

/** The fingerprint of a host key as OpenSSH prints it. */
function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}
