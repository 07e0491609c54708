import { statSync } from 'node:fs';
import { loadCa } from './ca-file.ts';
import { HOST_CERTIFICATE_TTL_MS, LocalCa, type ServerProof } from './local-ca.ts';
import { isPermitted } from './permitted-names.ts';

/** Hosts whose certificates are kept at once. */
const MAX_HOSTS = 128;

interface KeptProof {
  readonly proof: Promise<ServerProof>;
  readonly renewAt: number;
}

/** The CA of this moment, and the file that it was read from. */
interface OpenedCa {
  readonly version: string;
  readonly ca: Promise<LocalCa>;
  readonly proofs: Map<string, KeptProof>;
}

/**
 * Certificates of hosts, made when somebody asks for one and kept for as long as they are fresh; so many at most. A CA that another
 * process puts in the place of this one is used from the next request on.
 */
export class HostCertificates {
  readonly #file: string;
  readonly #now: () => number;
  #opened: OpenedCa | undefined;

  constructor(file: string, now: () => number = Date.now) {
    this.#file = file;
    this.#now = now;
  }

  /** What TLS as this host needs; undefined when this machine has no CA that can speak for it. @throws CliError for a file that is none */
  async proofFor(host: string): Promise<ServerProof | undefined> {
    const current = this.#current();
    if (!current) return undefined;
    const { ca, proofs } = current;
    const now = this.#now();
    const opened = await ca;
    if (!isPermitted(host, opened.stored.permitted) || opened.stored.endsAt <= now) return undefined;
    const kept = proofs.get(host);
    if (kept && kept.renewAt > now) return kept.proof;
    const proof = opened.issue(host, now);
    proofs.delete(host);
    proofs.set(host, { proof, renewAt: now + HOST_CERTIFICATE_TTL_MS / 2 });
    for (const [oldest] of proofs) {
      if (proofs.size <= MAX_HOSTS) break;
      proofs.delete(oldest);
    }
    proof.catch(() => proofs.delete(host));
    return proof;
  }

  #current(): OpenedCa | undefined {
    const { mtimeMs, ino } = statSync(this.#file, { throwIfNoEntry: false }) ?? {};
    const version = `${ino} ${mtimeMs}`;
    if (this.#opened?.version === version) return this.#opened;
    const stored = loadCa(this.#file);
    if (!stored) return undefined;
    this.#opened = { version, ca: LocalCa.open(stored), proofs: new Map() };
    return this.#opened;
  }
}
