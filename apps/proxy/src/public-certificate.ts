import type { Server } from 'node:http';
import { CertificateFiles, certificatePaths } from '@sallyport/http-service';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { AcmeCertificate } from './acme.ts';
import { useCertificate } from './app.ts';
import type { OriginNames } from './serving/origin-names.ts';

/** Where the certificate for devices is said to lie. */
export interface PublicCertificateSettings {
  readonly SALLYPORT_TLS_CERT: string | undefined;
  readonly SALLYPORT_TLS_KEY: string | undefined;
  readonly SALLYPORT_TLS_TRUSTED: string | undefined;
}

/** The same settings where an authority gives the certificate: it lies in files as any other. */
export function withAcme(
  settings: PublicCertificateSettings,
  acme: Pick<AcmeCertificate, 'file'> | undefined,
): PublicCertificateSettings {
  if (!acme) return settings;
  return { ...settings, SALLYPORT_TLS_CERT: acme.file, SALLYPORT_TLS_KEY: acme.file };
}

/** What a certificate for devices is opened with. */
export interface PublicCertificateParts {
  readonly names: OriginNames;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Opens the certificate for devices; undefined where a load balancer ends TLS.
 * @throws Error when its files are not good for a start, or not all of them are named
 */
export function openPublicCertificate(
  settings: PublicCertificateSettings,
  { names, log, metrics }: PublicCertificateParts,
): CertificateFiles | undefined {
  const paths = certificatePaths(settings, {
    certificate: 'SALLYPORT_TLS_CERT',
    key: 'SALLYPORT_TLS_KEY',
    trusted: 'SALLYPORT_TLS_TRUSTED',
  });
  if (!paths) return undefined;
  const help = 'new certificates that were not taken';
  const refused = metrics.counter('sallyport_certificates_refused_total', help, ['listener', 'why']);
  return new CertificateFiles(paths, {
    log,
    names: () => names.current,
    told: (what, _words, why = 'unreadable') => what === 'refused' && refused.inc({ listener: 'public', why }),
  });
}

/** Takes over certificates for devices as they change in their files, and tells when the one in use ends. */
export function keepPublicCertificate(server: Server, files: CertificateFiles, metrics: Metrics): () => void {
  const words = 'when the certificate for devices ends, epoch s';
  metrics.gauge('sallyport_certificate_end_seconds', words, () => files.current.endsAt / 1_000);
  return files.watch((changed) => useCertificate(server, changed));
}
