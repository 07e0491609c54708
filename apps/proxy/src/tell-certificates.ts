import type { CertificateFiles } from '@sallyport/http-service';
import type { ProxyIdentity, SecurityClient } from '@sallyport/security-client';
import type { AcmeCertificate } from './acme.ts';

/** What this Proxy shows is looked at this often, ms. */
const LOOK_MS = 2_000;
/** After a refusal, or without Security, it is told again after, ms. */
const AGAIN_MS = 15_000;
/** Characters of a trouble that are told. */
const MAX_TROUBLE = 1_024;

/** What tells of the certificates of this Proxy. */
export interface TellingParts {
  readonly security: Pick<SecurityClient, 'tellCertificates'>;
  readonly identity: () => Pick<ProxyIdentity, 'certificate'>;
  /** Undefined where a load balancer ends TLS. */
  readonly files: Pick<CertificateFiles, 'current' | 'trouble'> | undefined;
  /** Undefined where somebody else writes the files. */
  readonly acme?: Pick<AcmeCertificate, 'trouble'> | undefined;
}

/** Tells Security of the certificates that this Proxy shows, whenever they have changed. Gives what ends that. */
export function tellCertificates({ security, identity, files, acme }: TellingParts): () => void {
  let told = '';
  let timer: NodeJS.Timeout;
  const look = async (): Promise<void> => {
    let waitMs = LOOK_MS;
    const shown = [
      { place: 'identity' as const, chain: identity().certificate, renewedBy: 'itself' as const, trouble: null },
      ...(files ? [publicOf(files, acme)] : []),
    ];
    const text = JSON.stringify(shown);
    if (text !== told) {
      try {
        await security.tellCertificates(shown);
        told = text;
      } catch {
        // Nobody waits for it.
        waitMs = AGAIN_MS;
      }
    }
    timer = setTimeout(() => void look(), waitMs);
    timer.unref();
  };
  timer = setTimeout(() => void look(), 0);
  return () => clearTimeout(timer);
}

function publicOf(files: NonNullable<TellingParts['files']>, acme: TellingParts['acme']) {
  const trouble = files.trouble ?? acme?.trouble;
  const short = trouble === undefined ? null : trouble.slice(0, MAX_TROUBLE);
  const renewedBy = acme ? ('itself' as const) : ('files' as const);
  return { place: 'public' as const, chain: files.current.certificate, renewedBy, trouble: short };
}
