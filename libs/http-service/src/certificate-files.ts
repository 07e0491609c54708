import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Log } from '@sallyport/telemetry';

/** Files are looked at this often, ms: whoever renews them need tell nobody. */
const LOOK_MS = 10_000;

/** Where the certificate of a listener and its key lie, PEM; the certificate with its chain. */
export interface CertificatePaths {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A certificate with its key, PEM, which fit each other; and when it ends, epoch ms. */
export interface LoadedCertificate {
  readonly certificate: string;
  readonly key: string;
  readonly endsAt: number;
}

/** When a certificate ends, epoch ms. @throws Error for what is no PEM of a certificate */
export function endOfCertificate(certificate: string): number {
  return new X509Certificate(certificate).validToDate.getTime();
}

/** Checks a pair. @throws Error saying in words what is wrong, without any of the key */
function loadCertificate(certificate: string, key: string): LoadedCertificate {
  const leaf = parsed(() => new X509Certificate(certificate), 'the certificate is no PEM of one');
  const privateKey = parsed(() => createPrivateKey(key), 'the key is no PEM of a private key without a password');
  if (!leaf.checkPrivateKey(privateKey)) throw new Error('certificate and key do not belong together');
  return { certificate, key, endsAt: leaf.validToDate.getTime() };
}

function parsed<T>(parse: () => T, words: string): T {
  try {
    return parse();
  } catch {
    throw new Error(words);
  }
}

/**
 * A listener's certificate in files. What changes in them is taken over without a restart; what does not fit, or is over,
 * is refused, and the one before stays in use.
 */
export class CertificateFiles {
  readonly #paths: CertificatePaths;
  readonly #log: Log;
  #current: LoadedCertificate;
  #seen: string;
  #trouble: string | undefined;

  /** @throws Error when what the files hold now is not good for a start */
  constructor(paths: CertificatePaths, log: Log) {
    this.#paths = paths;
    this.#log = log;
    const { certificate, key } = readPair(paths);
    this.#seen = certificate + key;
    this.#current = withPlace(paths, () => loadCertificate(certificate, key));
  }

  get current(): LoadedCertificate {
    return this.#current;
  }

  /** Why what the files hold is not in use; undefined when it is. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Reads the files; gives the new certificate when there is one. `now` in epoch ms. */
  look(now: number): LoadedCertificate | undefined {
    try {
      const { certificate, key } = readPair(this.#paths);
      if (certificate + key === this.#seen) return undefined;
      const loaded = loadCertificate(certificate, key);
      if (loaded.endsAt <= now)
        throw new Error(`the certificate is over since ${new Date(loaded.endsAt).toISOString()}`);
      this.#seen = certificate + key;
      this.#trouble = undefined;
      this.#current = loaded;
      this.#log.info({ file: this.#paths.certificateFile, endsAt: loaded.endsAt }, 'a new certificate is in use');
      return loaded;
    } catch (error) {
      const words = `${this.#paths.certificateFile}: ${(error as Error).message}`;
      // Files that are being written fit each other a moment later.
      if (words !== this.#trouble)
        this.#log.error({ why: words }, 'a new certificate is refused; the one before stays');
      this.#trouble = words;
      return undefined;
    }
  }

  /** Looks again and again; gives what ends that. */
  watch(use: (certificate: LoadedCertificate) => void): () => void {
    const timer = setInterval(() => {
      const changed = this.look(Date.now());
      if (changed) use(changed);
    }, LOOK_MS);
    timer.unref();
    return () => clearInterval(timer);
  }
}

function readPair({ certificateFile, keyFile }: CertificatePaths): { certificate: string; key: string } {
  return { certificate: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

function withPlace<T>({ certificateFile }: CertificatePaths, load: () => T): T {
  try {
    return load();
  } catch (error) {
    throw new Error(`${certificateFile}: ${(error as Error).message}`);
  }
}
