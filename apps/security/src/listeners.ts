import type { Server } from 'node:https';
import {
  type CertificateLife,
  type CertificateTrouble,
  endWords,
  lifeOf,
  type TlsListener,
  tlsOptionsOf,
} from '@sallyport/certificates';
import { CertificateFiles, type CertificatePaths } from '@sallyport/http-service';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import type { ServerCertificate } from './keys/certificates.ts';

interface Listener {
  readonly name: TlsListener;
  readonly use: (certificate: ServerCertificate) => void;
  /** Undefined when its certificate is one of our own CA. */
  readonly files: CertificateFiles | undefined;
  chain: string;
}

/** What a listener shows, and who renews it. */
export interface ShownCertificate {
  readonly place: string;
  /** PEM, with its chain. */
  readonly chain: string;
  readonly renewedBy: 'itself' | 'files';
  /** Why what the files hold is not in use. */
  readonly trouble: string | undefined;
}

/** Something happened to the certificate of a listener, for the audit log. */
export interface CertificateEvent {
  readonly action: 'certificate.take' | 'certificate.refuse';
  readonly place: string;
  readonly words: string;
}

/**
 * The listeners of this node with their certificates: own ones are renewed together, those in files are taken over when
 * they change, and whatever ends soon is told.
 */
export class NodeListeners {
  readonly #log: Log;
  readonly #listeners: Listener[] = [];
  readonly #stops: (() => void)[] = [];
  readonly #refused: (place: TlsListener, why: CertificateTrouble | undefined) => void;
  #authorities: readonly string[] = [];
  #heard: (event: CertificateEvent) => void = () => undefined;

  constructor(log: Log, metrics: Metrics) {
    this.#log = log;
    const soonest = (): number => Math.min(...this.#lives().map(({ life }) => life.endsAt)) / 1_000;
    metrics.gauge(
      'sallyport_certificate_end_seconds',
      'when the first certificate of a listener ends, epoch s',
      soonest,
    );
    const counter = metrics.counter('sallyport_certificates_refused_total', 'new certificates that were not taken', [
      'listener',
      'why',
    ]);
    this.#refused = (listener, why = 'unreadable') => counter.inc({ listener, why });
  }

  /** Tells of certificates that are taken or refused from now on. */
  listen(heard: (event: CertificateEvent) => void): void {
    this.#heard = heard;
  }

  /** Opens the certificate files of a listener, which is reached under these names. @throws Error when they are not good for a start */
  open(name: TlsListener, paths: CertificatePaths, names: readonly string[] = []): CertificateFiles {
    return new CertificateFiles(paths, {
      log: this.#log,
      names: () => names,
      told: (what, words, why) => {
        if (what === 'refused') this.#refused(name, why);
        this.#heard({ action: what === 'taken' ? 'certificate.take' : 'certificate.refuse', place: name, words });
      },
    });
  }

  /** Keeps the certificate of a listener good. */
  keep(
    name: TlsListener,
    service: FastifyInstance,
    { certificate, files }: { certificate: ServerCertificate; files?: CertificateFiles },
  ): void {
    const server = service.server as Server;
    const listener: Listener = {
      name,
      files,
      chain: certificate.certificate,
      use: ({ certificate: cert, key }) => {
        // Only Proxies show certificates; which CAs are taken is of each new connection.
        const ca = name === 'Proxy' ? { ca: [...this.#authorities] } : {};
        server.setSecureContext({ ...tlsOptionsOf(name), ...ca, cert, key });
        listener.chain = cert;
      },
    };
    this.#listeners.push(listener);
    if (files) this.#stops.push(files.watch(listener.use));
  }

  /** Puts a new certificate of our own CA in place, wherever one is used; `authorities` are those of Proxies, PEM. */
  renew(own: ServerCertificate, authorities: readonly string[]): void {
    this.#authorities = authorities;
    for (const { files, use } of this.#listeners) if (!files) use(own);
  }

  /** What the listeners show at this moment. */
  get shown(): ShownCertificate[] {
    return this.#listeners.map(({ name, chain, files }) => ({
      place: name,
      chain,
      renewedBy: files ? 'files' : 'itself',
      trouble: files?.trouble,
    }));
  }

  /** What is wrong with certificates, in words; `now` in epoch ms. */
  words(now: number): string[] {
    const ending = this.#lives().flatMap(({ what, life }) => {
      const ends = endWords(life, now);
      return ends === undefined ? [] : [`the certificate of ${what} ${ends}`];
    });
    const refused = this.#listeners.flatMap(({ name, files }) =>
      files?.trouble === undefined ? [] : [`the new certificate of the ${name} listener is refused: ${files.trouble}`],
    );
    return [...ending, ...refused];
  }

  #lives(): { readonly what: string; readonly life: CertificateLife }[] {
    return [
      ...this.#listeners.map(({ name, chain }) => ({ what: `the ${name} listener`, life: lifeOf(chain) })),
      ...this.#authorities.map((pem) => ({ what: 'the CA', life: lifeOf(pem) })),
    ];
  }

  /** Looks at no file any more. */
  stop(): void {
    for (const stop of this.#stops) stop();
  }
}
