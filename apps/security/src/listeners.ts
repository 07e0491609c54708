import type { Server } from 'node:https';
import { CertificateFiles, type CertificatePaths, endOfCertificate } from '@sallyport/http-service';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import type { ServerCertificate } from './keys/certificates.ts';

/** A certificate that ends sooner is worth a word, ms. */
const WARN_BEFORE_MS = 86_400_000;

interface Listener {
  readonly name: string;
  readonly use: (certificate: ServerCertificate) => void;
  /** Undefined when its certificate is one of our own CA. */
  readonly files: CertificateFiles | undefined;
  endsAt: number;
}

/**
 * The listeners of this node with their certificates: own ones are renewed together, those in files are taken over when
 * they change, and whatever ends within a day is told.
 */
export class NodeListeners {
  readonly #log: Log;
  readonly #listeners: Listener[] = [];
  readonly #stops: (() => void)[] = [];
  #caEndsAt = Number.POSITIVE_INFINITY;

  constructor(log: Log, metrics: Metrics) {
    this.#log = log;
    const soonest = (): number => Math.min(this.#caEndsAt, ...this.#listeners.map(({ endsAt }) => endsAt)) / 1_000;
    metrics.gauge(
      'sallyport_certificate_end_seconds',
      'when the first certificate of a listener ends, epoch s',
      soonest,
    );
  }

  /** Opens the certificate files of a listener. @throws Error when they are not good for a start */
  open(paths: CertificatePaths): CertificateFiles {
    return new CertificateFiles(paths, this.#log);
  }

  /** Keeps the certificate of a listener good, whose TLS options are `tls`. */
  keep(
    name: string,
    service: FastifyInstance,
    { certificate, tls, files }: { certificate: ServerCertificate; tls: object; files?: CertificateFiles },
  ): void {
    const server = service.server as Server;
    const listener: Listener = {
      name,
      files,
      endsAt: endOfCertificate(certificate.certificate),
      use: ({ certificate: cert, key }) => {
        server.setSecureContext({ ...tls, cert, key });
        listener.endsAt = endOfCertificate(cert);
      },
    };
    this.#listeners.push(listener);
    if (files) this.#stops.push(files.watch(listener.use));
  }

  /** Puts a new certificate of our own CA in place, wherever one is used. */
  renew(own: ServerCertificate, ca: string): void {
    this.#caEndsAt = endOfCertificate(ca);
    for (const { files, use } of this.#listeners) if (!files) use(own);
  }

  /** What is wrong with certificates, in words; `now` in epoch ms. */
  words(now: number): string[] {
    const ending = this.#listeners.filter(({ endsAt }) => endsAt - now < WARN_BEFORE_MS);
    const refused = this.#listeners.flatMap(({ name, files }) =>
      files?.trouble === undefined ? [] : [`the new certificate of the ${name} listener is refused: ${files.trouble}`],
    );
    return [
      ...ending.map(({ name, endsAt }) => `the certificate of the ${name} listener ${whenItEnds(endsAt, now)}`),
      ...(this.#caEndsAt - now < WARN_BEFORE_MS
        ? [`the certificate of the CA ${whenItEnds(this.#caEndsAt, now)}`]
        : []),
      ...refused,
    ];
  }

  /** Looks at no file any more. */
  stop(): void {
    for (const stop of this.#stops) stop();
  }
}

function whenItEnds(endsAt: number, now: number): string {
  const at = new Date(endsAt).toISOString();
  return endsAt <= now ? `is over since ${at}` : `ends at ${at}`;
}
