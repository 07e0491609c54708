import 'reflect-metadata';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { createSecureContext, getCACertificates } from 'node:tls';
import {
  AuthorityKeyIdentifierExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as ParsedCertificate,
} from '@peculiar/x509';

/** Why a certificate is not taken: few values, for metrics. */
export type CertificateTrouble =
  | 'unreadable'
  | 'empty'
  | 'no certificate'
  | 'no key'
  | 'wrong key'
  | 'not yet good'
  | 'over'
  | 'wrong name'
  | 'broken chain'
  | 'untrusted'
  | 'wrong use'
  | 'weak';

/** A certificate is not taken. The message says in words why, without any of the key. */
export class CertificateError extends Error {
  readonly why: CertificateTrouble;

  constructor(why: CertificateTrouble, words: string, options: ErrorOptions = {}) {
    super(words, options);
    this.name = 'CertificateError';
    this.why = why;
  }
}

/** A certificate with its chain, and its key, PEM. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

/** A pair that fits, its chain without anything else that stood in the file; and when it ends, epoch ms: the first of its chain to end counts. */
export interface LoadedCertificate extends CertificatePair {
  readonly endsAt: number;
}

/** What a certificate is held against. */
export interface CertificateDemands {
  /** Epoch ms. */
  readonly now: number;
  readonly use: 'server' | 'client';
  /** Names under which others reach it; empty: those of the one in use, of which it must have one. */
  readonly names?: readonly string[];
  /** PEM of the CAs that others trust: it must come from one of them. Absent: those of this system, and whose the one in use is. */
  readonly trusted?: string | undefined;
  /** The one that it is to take the place of. */
  readonly inUse?: CertificatePair | undefined;
}

/** All certificates of a text in PEM, in their order. @throws CertificateError for what is none, or cut off */
export function certificatesOf(pem: string): readonly [X509Certificate, ...X509Certificate[]] {
  if (pem.trim() === '') throw new CertificateError('empty', 'the file of the certificate is empty');
  const parts = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  const begun = pem.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/g) ?? [];
  if (parts.length !== begun.length || parts.length === 0)
    throw new CertificateError(
      'no certificate',
      begun.length === 0 ? NO_PEM : 'the file of the certificate is cut off',
    );
  const [leaf, ...others] = parts.map((part) => parsed(() => new X509Certificate(part), 'no certificate', NO_PEM));
  return [leaf!, ...others];
}

/**
 * A text in PEM without anything but its certificates: whoever passes a chain on, stores or shows it, does so with this one. Many keep the
 * key in the same file.
 * @throws CertificateError
 */
export function onlyCertificates(pem: string): string {
  return certificatesOf(pem)
    .map((one) => one.toString())
    .join('');
}

const NO_PEM = 'the certificate is no PEM of one';
const NO_KEY = 'the key is no PEM of a private key without a password';

function parsed<T>(parse: () => T, why: CertificateTrouble, words: string): T {
  try {
    return parse();
  } catch {
    // Its words may hold some of what is read.
    throw new CertificateError(why, words);
  }
}

/** Checks a pair for a place where it is to be used. @throws CertificateError saying what is wrong with it */
export function judgeCertificate(pair: CertificatePair, demands: CertificateDemands): LoadedCertificate {
  const chain = certificatesOf(pair.certificate);
  checkKey(chain[0], pair.key);
  judgeChain(pair.certificate, demands);
  const taken = { certificate: onlyCertificates(pair.certificate), key: pair.key };
  checkStrength(taken);
  return { ...taken, endsAt: endOfChain(chain) };
}

/** Checks a certificate with its chain, PEM, of which somebody else has the key. @throws CertificateError saying what is wrong with it */
export function judgeChain(certificate: string, demands: CertificateDemands): void {
  const chain = certificatesOf(certificate);
  const [leaf] = chain;
  checkTimes(chain, demands.now);
  checkUse(leaf, demands.use);
  const inUse = demands.inUse && certificatesOf(demands.inUse.certificate);
  if (demands.use === 'server') checkHosts(leaf);
  checkNames(leaf, demands.names ?? [], inUse?.[0]);
  checkChain(chain, demands.trusted, inUse);
}

/** When a chain is good no more, epoch ms: with the first of its certificates. */
export function endOfChain(chain: readonly X509Certificate[]): number {
  return Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
}

function checkKey(leaf: X509Certificate, key: string): void {
  if (key.trim() === '') throw new CertificateError('empty', 'the file of the key is empty');
  const privateKey: KeyObject = parsed(() => createPrivateKey(key), 'no key', NO_KEY);
  if (!leaf.checkPrivateKey(privateKey))
    throw new CertificateError('wrong key', 'certificate and key do not belong together');
}

function checkTimes(chain: readonly X509Certificate[], now: number): void {
  for (const [at, one] of chain.entries()) {
    const what = at === 0 ? 'the certificate' : `certificate ${at + 1} of the chain`;
    const [from, until] = [one.validFromDate, one.validToDate];
    if (until.getTime() <= now) throw new CertificateError('over', `${what} is over since ${until.toISOString()}`);
    if (from.getTime() > now)
      throw new CertificateError('not yet good', `${what} is not good before ${from.toISOString()}`);
  }
}

/** Extended key usages (RFC 5280, section 4.2.1.12). */
const USES = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const;
const ANY_USE = '2.5.29.37.0';

function checkUse(leaf: X509Certificate, use: 'server' | 'client'): void {
  // What Node calls the usage of the key is the extended one; undefined: for everything.
  const uses = leaf.keyUsage as readonly string[] | undefined;
  if (uses && uses.length > 0 && !uses.includes(USES[use]) && !uses.includes(ANY_USE))
    throw new CertificateError('wrong use', `the certificate is not for a TLS ${use}`);
  // Every suite of ours signs with the key (RFC 8446, section 4.4.2.2).
  const usages = new ParsedCertificate(leaf.raw).getExtension(KeyUsagesExtension)?.usages;
  if (usages !== undefined && (usages & KeyUsageFlags.digitalSignature) === 0)
    throw new CertificateError('wrong use', 'the key of the certificate is not for signatures, which TLS needs');
  if (leaf.ca && !isSelfSigned(leaf))
    throw new CertificateError('wrong use', 'the first certificate is one of a CA: that of the server stands first');
}

/**
 * What was reached under a name must be so again. Where the one in use is for none of the names, as behind a balancer that ends TLS for
 * clients, the next one may be for what that one is for.
 */
function checkNames(leaf: X509Certificate, names: readonly string[], before: X509Certificate | undefined): void {
  const kept = names.filter((name) => before && isFor(before, name));
  const lost = kept.filter((name) => !isFor(leaf, name));
  if (lost.length > 0) throw wrongName(leaf, lost);
  if (kept.length > 0) return;
  const wanted = [...names, ...(before ? hostsOf(before) : [])];
  if (wanted.length > 0 && !wanted.some((name) => isFor(leaf, name))) throw wrongName(leaf, wanted);
}

/** Clients look for a host in the alternative names alone (RFC 9525, section 6.3). */
function checkHosts(leaf: X509Certificate): void {
  if (hostsOf(leaf).length === 0)
    throw new CertificateError('wrong name', 'the certificate names no host: it has no alternative names');
}

function wrongName(leaf: X509Certificate, wanted: readonly string[]): CertificateError {
  const has = hostsOf(leaf).join(', ') || 'nothing';
  return new CertificateError('wrong name', `the certificate is for ${shown(has)}, not for ${wanted.join(', ')}`);
}

/** Names are of whoever made the certificate: what a terminal would obey is left out. */
function shown(names: string): string {
  return names.replace(/[^\x20-\x7e]/g, '?').slice(0, 512);
}

/** True for a certificate that clients take for a host, a name or an address. */
function isFor(certificate: X509Certificate, name: string): boolean {
  const bare = name.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare)) return certificate.checkIP(bare) !== undefined;
  // Node takes no wildcard for a host.
  if (bare.includes('*')) return hostsOf(certificate).includes(bare);
  return certificate.checkHost(bare, { subject: 'never' }) !== undefined;
}

/** Names and addresses that a certificate is for. */
export function hostsOf(certificate: X509Certificate): string[] {
  const text = certificate.subjectAltName ?? '';
  return [...text.matchAll(/(?:^|, )(?:DNS|IP Address):("[^"]*"|[^,]*)/g)].map(([, name = '']) =>
    name.replace(/^"|"$/g, ''),
  );
}

/**
 * The chain must hold together in the order in which it is sent (RFC 5246, section 7.4.2), and end where others trust it. Who used
 * a certificate of no CA so far has told clients to trust that one: of the next one nothing is asked.
 */
function checkChain(
  [leaf, ...others]: readonly [X509Certificate, ...X509Certificate[]],
  trusted: string | undefined,
  inUse: readonly [X509Certificate, ...X509Certificate[]] | undefined,
): void {
  if (others[0] && !isIssuedBy(leaf, others[0]))
    throw new CertificateError('broken chain', 'the second certificate of the chain did not issue the first');
  const named = trusted === undefined ? [] : certificatesOf(trusted);
  const path = pathOf(leaf, [...others, ...named]);
  const top = path.at(-1)!;
  if (named.length > 0) {
    if (named.some((ca) => sameAuthority(ca, top))) return;
    throw untrusted(top, 'none of the CAs that are named as trusted');
  }
  if (!inUse || isSelfSigned(inUse[0])) return;
  const before = pathOf(inUse[0], inUse.slice(1)).at(-1)!;
  if (isKin(top, before) || isPublic(top)) return;
  throw untrusted(top, 'neither whose the one in use is, nor trusted by this system');
}

function untrusted(top: X509Certificate, words: string): CertificateError {
  const issuer = shown(top.issuer.replaceAll('\n', ', '));
  return new CertificateError('untrusted', `the chain of the certificate ends at ${issuer}: ${words}`);
}

function isIssuedBy(one: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && one.checkIssued(issuer) && one.verify(issuer.publicKey);
}

function isSelfSigned(one: X509Certificate): boolean {
  return one.checkIssued(one) && one.verify(one.publicKey);
}

/** From a certificate upward, as far as its issuers are at hand. */
function pathOf(leaf: X509Certificate, others: readonly X509Certificate[]): X509Certificate[] {
  const path = [leaf];
  for (;;) {
    const last = path.at(-1)!;
    const issuer = isSelfSigned(last) ? undefined : others.find((one) => !path.includes(one) && isIssuedBy(last, one));
    if (!issuer) return path;
    path.push(issuer);
  }
}

/** One CA may have several certificates: what counts is name and key. */
function sameAuthority(one: X509Certificate, other: X509Certificate): boolean {
  return one.subject === other.subject && one.publicKey.equals(other.publicKey);
}

/** True when both chains end at one CA, be it in them or not. */
function isKin(top: X509Certificate, before: X509Certificate): boolean {
  if (sameAuthority(top, before)) return true;
  const [keyId, keyIdBefore] = [authorityKeyId(top), authorityKeyId(before)];
  if (keyId && keyIdBefore) return keyId === keyIdBefore;
  return top.issuer === before.issuer && keyId === keyIdBefore;
}

/** The key identifier of the issuer (RFC 5280, section 4.2.1.1), hex; undefined for a certificate without one. */
function authorityKeyId({ raw }: X509Certificate): string | undefined {
  return new ParsedCertificate(raw).getExtension(AuthorityKeyIdentifierExtension)?.keyId;
}

let publicAuthorities: Map<string, X509Certificate[]> | undefined;

/** True for a chain that ends at a CA that this system, or Node, trusts for everybody. */
function isPublic(top: X509Certificate): boolean {
  publicAuthorities ??= Map.groupBy(
    [...getCACertificates('bundled'), ...getCACertificates('system')].map((pem) => new X509Certificate(pem)),
    ({ subject }) => subject,
  );
  const itself = publicAuthorities.get(top.subject) ?? [];
  const issuers = publicAuthorities.get(top.issuer) ?? [];
  return itself.some((ca) => sameAuthority(ca, top)) || issuers.some((ca) => isIssuedBy(top, ca));
}

/** What OpenSSL refuses to use would end every handshake. */
function checkStrength({ certificate, key }: CertificatePair): void {
  try {
    createSecureContext({ cert: certificate, key });
  } catch (error) {
    const { code = 'no reason is given' } = error as NodeJS.ErrnoException;
    throw new CertificateError('weak', `OpenSSL does not take certificate and key: ${code}`);
  }
}
