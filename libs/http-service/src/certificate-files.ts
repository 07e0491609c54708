import { createHash } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import {
  CertificateError,
  type CertificatePair,
  type CertificateTrouble,
  judgeCertificate,
  type LoadedCertificate,
} from '@sallyport/certificates';
import type { Log } from '@sallyport/telemetry';

/** Files are looked at this often, ms: whoever renews them need tell nobody. */
const LOOK_MS = 2_000;
/** Files that are replaced while they are read are read again so often. */
const READS = 5;

/** Where the certificate of a listener and its key lie, PEM; the certificate with its chain. */
export interface CertificatePaths {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** PEM of the CAs that clients trust: a certificate must come from one of them. Absent: see `judgeCertificate`. */
  readonly trustedFile?: string | undefined;
}

type Named<Name extends string> = Readonly<Record<Name, string | undefined>>;

/** Paths by settings of these names; undefined when none is said. @throws Error naming the one that is missing: half of them would do nothing */
export function certificatePaths<Certificate extends string, Key extends string, Trusted extends string>(
  settings: Named<Certificate | Key | Trusted>,
  names: { readonly certificate: Certificate; readonly key: Key; readonly trusted: Trusted },
): CertificatePaths | undefined {
  const [certificateFile, keyFile, trustedFile] = [
    settings[names.certificate],
    settings[names.key],
    settings[names.trusted],
  ];
  if (certificateFile && keyFile) return { certificateFile, keyFile, trustedFile };
  if (!certificateFile && !keyFile && !trustedFile) return undefined;
  throw new Error(`${certificateFile ? names.key : names.certificate} is missing, which belongs to the other one`);
}

/** What a listener's certificate is held against, and who hears of it. */
export interface CertificateKeeping {
  readonly log: Log;
  /** Names under which clients reach the listener, as far as they are known. */
  readonly names?: () => readonly string[];
  /** Hears of every certificate that is taken, or refused, once. */
  readonly told?: (what: 'taken' | 'refused', words: string, why?: CertificateTrouble) => void;
}

/**
 * A listener's certificate in files. What changes in them is taken over without a restart; what does not fit, is over or is for
 * somebody else is refused, and the one before stays in use. Files may be replaced one after the other, or all together as Kubernetes
 * does it by moving a symbolic link.
 */
export class CertificateFiles {
  readonly #paths: CertificatePaths;
  readonly #keeping: CertificateKeeping;
  #current: LoadedCertificate;
  /** Of what is in use, and of what the last look found: hashes, as a key is in it. */
  #mark: string;
  #seen: string;
  #trouble: string | undefined;

  /** @throws Error when what the files hold now is not good for a start */
  constructor(paths: CertificatePaths, keeping: CertificateKeeping) {
    this.#paths = paths;
    this.#keeping = keeping;
    try {
      const pair = readTogether(paths);
      this.#current = this.#judge(pair, Date.now());
      this.#mark = markOf(pair);
    } catch (error) {
      throw new Error(this.#placed(error));
    }
    this.#seen = this.#mark;
  }

  get current(): LoadedCertificate {
    return this.#current;
  }

  /** Why what the files hold is not in use; undefined when it is. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Where it lies. */
  get file(): string {
    return this.#paths.certificateFile;
  }

  /** Reads the files; gives the new certificate when there is one. `now` in epoch ms. */
  look(now: number): LoadedCertificate | undefined {
    let mark = '';
    try {
      const pair = readTogether(this.#paths);
      mark = markOf(pair);
      if (mark === this.#mark) this.#trouble = undefined;
      else return this.#take(pair, mark, now);
    } catch (error) {
      // Files that are replaced one after the other fit each other a moment later.
      if (this.#seen === (mark || String(error))) this.#refuse(error);
      this.#seen = mark || String(error);
    }
    return undefined;
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

  #take(pair: CertificatePair, mark: string, now: number): LoadedCertificate {
    const loaded = this.#judge(pair, now);
    [this.#mark, this.#seen, this.#trouble, this.#current] = [mark, mark, undefined, loaded];
    const words = `a new certificate is in use until ${new Date(loaded.endsAt).toISOString()}`;
    this.#keeping.log.info({ file: this.file, endsAt: loaded.endsAt }, words);
    this.#keeping.told?.('taken', words);
    return loaded;
  }

  #judge(pair: CertificatePair, now: number): LoadedCertificate {
    const { trustedFile } = this.#paths;
    return judgeCertificate(pair, {
      now,
      use: 'server',
      names: this.#keeping.names?.() ?? [],
      trusted: trustedFile === undefined ? undefined : readText(trustedFile),
      inUse: this.#current,
    });
  }

  #refuse(error: unknown): void {
    const words = this.#placed(error);
    if (words === this.#trouble) return;
    this.#trouble = words;
    this.#keeping.log.error({ why: words }, 'a new certificate is refused; the one before stays');
    this.#keeping.told?.('refused', words, (error as CertificateError).why);
  }

  #placed(error: unknown): string {
    return `${this.file}: ${(error as Error).message}`;
  }
}

function markOf({ certificate, key }: CertificatePair): string {
  return createHash('sha256').update(certificate).update('\0').update(key).digest('hex');
}

/** Certificate and key of one moment: both are read again when one of them is another file by then. */
function readTogether({ certificateFile, keyFile }: CertificatePaths): CertificatePair {
  const stamp = (): string => [certificateFile, keyFile].map(stampOf).join();
  for (let tries = 1; ; tries++) {
    const before = stamp();
    const pair = { certificate: readText(certificateFile), key: readText(keyFile) };
    if (tries === READS || before === stamp()) return pair;
  }
}

/** What tells one content of a file from another one. @throws CertificateError */
function stampOf(file: string): string {
  return readable(file, () => {
    const { ino, size, mtimeMs } = statSync(file);
    return `${realpathSync(file)} ${ino} ${size} ${mtimeMs}`;
  });
}

function readText(file: string): string {
  return readable(file, () => readFileSync(file, 'utf8'));
}

function readable<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const { code = 'it failed' } = cause as NodeJS.ErrnoException;
    throw new CertificateError('unreadable', `${file} cannot be read: ${code}`, { cause });
  }
}
