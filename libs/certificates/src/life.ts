import { certificatesOf, endOfChain } from './judge-certificate.ts';

const DAY_MS = 86_400_000;
/** Whoever renews by hand wants to know this long before, ms. */
const MAX_WARN_MS = 14 * DAY_MS;
/** A CA is not replaced in an afternoon: whoever trusts it must hear of the next one. */
const CA_WARN_MS = 180 * DAY_MS;

/** When a certificate begins and ends, epoch ms. */
export interface CertificateLife {
  readonly beginsAt: number;
  readonly endsAt: number;
  /** When its end is worth a word: a quarter of its life before, two weeks at most; of a CA half a year. */
  readonly warnsAt: number;
}

/** Of a certificate in PEM, the first one of several, which ends with the first of its chain to end. @throws CertificateError for what is none */
export function lifeOf(certificate: string): CertificateLife {
  const chain = certificatesOf(certificate);
  const [leaf] = chain;
  const [beginsAt, endsAt] = [leaf.validFromDate.getTime(), endOfChain(chain)];
  const warnMs = Math.min((endsAt - beginsAt) / 4, leaf.ca ? CA_WARN_MS : MAX_WARN_MS);
  return { beginsAt, endsAt, warnsAt: endsAt - warnMs };
}

/** In words, that a certificate is over or ends soon; undefined for one that is good for longer. `now` in epoch ms. */
export function endWords({ endsAt, warnsAt }: CertificateLife, now: number): string | undefined {
  if (now < warnsAt) return undefined;
  const at = new Date(endsAt).toISOString();
  if (endsAt <= now) return `is over since ${at}`;
  const days = (endsAt - now) / DAY_MS;
  return `ends at ${at}, in ${days < 2 ? `${Math.ceil(days * 24)} hours` : `${Math.floor(days)} days`}`;
}
