import { join } from 'node:path';
import {
  type Diagnosis,
  examineCertificate,
  examineDisk,
  examineOpenFiles,
  examineService,
  readNamed,
} from '@sallyport/doctor';
import { loadIdentity, type ProxyIdentity } from '@sallyport/security-client';
import { parseHostPort } from '@sallyport/settings';
import { CliError } from '../output.ts';
import type { ProxyValues } from '../servers/settings.ts';
import { type Examination, legOf, whereabouts } from './examination.ts';

/** Beside sockets of devices: connections to backends and Security, and files. */
const FURTHER_FILES = 4_096;

/** What is tried from the host of a Proxy. `backends` are `host:port`. */
export function examinationsOfProxy(config: ProxyValues, backends: readonly string[]): Examination[] {
  const identity = loadIdentity(join(config.SALLYPORT_DATA, 'identity.json'));
  const files = config.SALLYPORT_MAX_SOCKETS + FURTHER_FILES;
  return [
    () => [examineDisk(config.SALLYPORT_DATA), examineOpenFiles({ server: 'proxy', files })],
    () => [ownIdentity(identity)],
    ...security(config, identity),
    ...backends.map(backend),
    () => publicCertificate(config),
  ];
}

function ownIdentity(identity: ProxyIdentity | undefined): Diagnosis {
  const subject = 'identity of this Proxy';
  if (!identity)
    return {
      ...{ subject, check: 'certificate', state: 'failure', words: 'it has not joined yet' },
      next: 'sallyport proxy invite <name> --site <site>, then SALLYPORT_JOIN_TOKEN; in a pod it joins by itself once Security answers',
    };
  const { certificate, key, ca } = identity;
  const renews =
    'it renews itself while Security answers; see that first, then join again: sallyport proxy invite --replace';
  return examineCertificate({ what: subject, certificate, key, use: 'client', trusted: ca, renews });
}

function security(config: ProxyValues, identity: ProxyIdentity | undefined): Examination[] {
  const urls = identity?.urls ?? config.SALLYPORT_SECURITY_URLS;
  const given = config.SALLYPORT_SECURITY_CA;
  const read = given === undefined || identity ? undefined : readNamed('SALLYPORT_SECURITY_CA', given);
  const ca = identity?.ca ?? (read && 'text' in read ? read.text : undefined);
  const proof = identity ? { certificate: identity.certificate, key: identity.key } : {};
  return [
    ...(read && 'trouble' in read ? [() => [read.trouble]] : []),
    ...urls.map((url): Examination => {
      const leg = legOf('security-proxies', whereabouts(url, 443));
      const tls = { ...(ca === undefined ? {} : { ca }), ...proof };
      return (limits) => examineService({ leg, tls, isOurs: true }, limits);
    }),
  ];
}

function backend(text: string): Examination {
  const place = parseHostPort(text);
  if (!place) throw new CliError(`${text}: a backend is host:port`);
  return (limits) => examineService({ leg: legOf('backends', place) }, limits);
}

function publicCertificate(config: ProxyValues): readonly Diagnosis[] {
  const { SALLYPORT_TLS_CERT: certificate, SALLYPORT_TLS_KEY: key, SALLYPORT_TLS_TRUSTED: trusted } = config;
  if (certificate === undefined || key === undefined) return [];
  const read = [
    readNamed('SALLYPORT_TLS_CERT', certificate),
    readNamed('SALLYPORT_TLS_KEY', key),
    ...(trusted === undefined ? [] : [readNamed('SALLYPORT_TLS_TRUSTED', trusted)]),
  ];
  const troubles = read.flatMap((one) => ('trouble' in one ? [one.trouble] : []));
  if (troubles.length > 0) return troubles;
  const [own, ownKey, cas] = read.map((one) => ('text' in one ? one.text : ''));
  const pair = { what: 'certificate for devices', certificate: own!, key: ownKey!, use: 'server' as const };
  return [examineCertificate({ ...pair, ...(cas === undefined ? {} : { trusted: cas }) })];
}
