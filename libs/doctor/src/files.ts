import { existsSync, readFileSync } from 'node:fs';
import { CertificateError, endWords, judgeCertificate, lifeOf } from '@sallyport/certificates';
import type { Diagnosis } from './diagnosis.ts';

/** A certificate of this host. */
export interface OwnCertificate {
  /** What it is for, in words. */
  readonly what: string;
  readonly certificate: string;
  readonly key: string;
  readonly use: 'server' | 'client';
  /** PEM of the CAs that others trust; absent: whatever they do. */
  readonly trusted?: string;
  /** Who renews it; absent: somebody has to. */
  readonly renews?: string;
}

/** Judges a certificate of this host by the rules by which it is taken at a start. */
export function examineCertificate({ what, certificate, key, use, trusted, renews }: OwnCertificate): Diagnosis {
  const subject = what;
  const check = 'certificate';
  try {
    judgeCertificate({ certificate, key }, { now: Date.now(), use, ...(trusted === undefined ? {} : { trusted }) });
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const next = renews ?? 'put another certificate and key into its files';
    return { subject, check, state: 'failure', words: error.message, hop: 'this host', next };
  }
  const life = lifeOf(certificate);
  const words = endWords(life, Date.now());
  const until = new Date(life.endsAt).toISOString();
  if (words === undefined) return { subject, check, state: 'ok', words: `is good until ${until}` };
  return { subject, check, state: 'warning', words, next: renews ?? 'renew it, and put it into its files' };
}

/** A file that a setting names: its text, or why it cannot be used. */
export function readNamed(setting: string, file: string): { readonly text: string } | { readonly trouble: Diagnosis } {
  try {
    if (existsSync(file)) return { text: readFileSync(file, 'utf8') };
    return { trouble: unreadable(setting, `${file} is not there`) };
  } catch (error) {
    return { trouble: unreadable(setting, `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`) };
  }
}

function unreadable(setting: string, words: string): Diagnosis {
  const next = 'correct the path, or let the user of the server read it; run this as that user';
  return { subject: setting, check: 'file', state: 'failure', words, hop: 'this host', next };
}
