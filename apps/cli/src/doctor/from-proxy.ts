import { join } from 'node:path';
import {
  type Diagnosis,
  examineAuthority,
  examineCertificate,
  examineChallenge,
  examineDisk,
  examineOpenFiles,
  examineService,
} from '@sallyport/doctor';
import { loadIdentity, type ProxyIdentity } from '@sallyport/security-client';
import { parseHostPort } from '@sallyport/settings';
import { CliError } from '../output.ts';
import type { ProxyValues } from '../servers/settings.ts';
import { type Examination, legOf, named, ownLeg, surroundings, whereabouts } from './examination.ts';

/** Beside sockets of devices: connections to backends and Security, and files. */
const FURTHER_FILES = 4_096;

/** Whom a Proxy asks for its resources. */
export interface BackendNeighbours {
  /** `host:port`, or `https://host:port` to look at the certificate, too. */
  readonly places: readonly string[];
  /** PEM file of their CA; absent: those of this system. */
  readonly caFile?: string | undefined;
}

/** What is tried from the host of a Proxy. */
export function examinationsOfProxy(config: ProxyValues, backends: BackendNeighbours): Examination[] {
  const identity = loadIdentity(join(config.SALLYPORT_DATA, 'identity.json'));
  const files = config.SALLYPORT_MAX_SOCKETS + FURTHER_FILES;
  return [
    () => [examineDisk(config.SALLYPORT_DATA), examineOpenFiles({ server: 'proxy', files })],
    () => [ownIdentity(identity)],
    ...surroundings(securityUrls(config, identity).map((url) => whereabouts(url, 443).host)),
    ...ownListeners(config, identity),
    ...security(config, identity),
    ...backends.places.map((place) => backend(place, backends.caFile)),
    () => publicCertificate(config),
    ...authority(config),
  ];
}

function securityUrls(config: ProxyValues, identity: ProxyIdentity | undefined): readonly string[] {
  return identity?.urls ?? config.SALLYPORT_SECURITY_URLS;
}

/** The listeners of this Proxy, and whether it says that it is ready: one that has joined runs. */
function ownListeners(config: ProxyValues, identity: ProxyIdentity | undefined): Examination[] {
  if (!identity) return [];
  const listeners = [
    ['proxy-devices', config.SALLYPORT_LISTEN],
    ['proxy-health', config.SALLYPORT_HEALTH_LISTEN],
    ['proxy-metrics', config.SALLYPORT_METRICS_LISTEN],
    ['proxy-acme', config.SALLYPORT_ACME_LISTEN],
  ] as const;
  return listeners.flatMap(([port, listen]): Examination[] => {
    if (!listen) return [];
    const leg = ownLeg(port, listen);
    return [(limits) => examineService({ leg, isOurs: port === 'proxy-health' }, limits)];
  });
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
  const urls = securityUrls(config, identity);
  const given = named('SALLYPORT_SECURITY_CA', identity ? undefined : config.SALLYPORT_SECURITY_CA);
  const ca = identity?.ca ?? given.text;
  const proof = identity ? { certificate: identity.certificate, key: identity.key } : {};
  return [
    ...(given.troubles.length > 0 ? [() => given.troubles] : []),
    ...urls.map((url): Examination => {
      const leg = legOf('security-proxies', whereabouts(url, 443));
      const tls = { ...(ca === undefined ? {} : { ca }), ...proof };
      return (limits) => examineService({ leg, tls, isOurs: true }, limits);
    }),
  ];
}

function backend(text: string, caFile: string | undefined): Examination {
  if (!text.startsWith('https://')) {
    const place = parseHostPort(text);
    if (!place) throw new CliError(`${text}: a backend is host:port, or https://host:port`);
    return (limits) => examineService({ leg: legOf('backends', place) }, limits);
  }
  const { text: ca, troubles } = named('--backend-ca', caFile);
  const remedies = {
    renew: 'renew it on the backend',
    trust: 'name its CA: --backend-ca here, --ca of "resource add" and "resource set"',
  };
  const tls = { ...(ca === undefined ? {} : { ca }), remedies };
  const leg = legOf('backends', whereabouts(text, 443));
  return async (limits) => [...troubles, ...(await examineService({ leg, tls }, limits))];
}

/** The authority that gives the certificate for devices, and whether it finds here by each name. */
function authority(config: ProxyValues): Examination[] {
  const { SALLYPORT_ACME_DIRECTORY: directory, SALLYPORT_ACME_NAMES: names } = config;
  if (directory === undefined) return [];
  const url = URL.parse(directory);
  if (url?.protocol !== 'https:') throw new CliError('SALLYPORT_ACME_DIRECTORY is no https:// URL');
  const { text: ca, troubles } = named('SALLYPORT_ACME_CA', config.SALLYPORT_ACME_CA);
  const way = {
    ...{ leg: legOf('acme', whereabouts(directory, 443)), path: url.pathname + url.search },
    ...(ca === undefined ? {} : { ca }),
    isBound: config.SALLYPORT_ACME_EAB_KID !== undefined,
  };
  return [
    async (limits) => [...troubles, ...(await examineAuthority(way, limits))],
    ...names.map((host): Examination => {
      const leg = { ...legOf('proxy-acme', { host, port: CHALLENGE_PORT }), from: 'this host' };
      return (limits) => examineChallenge(leg, limits);
    }),
  ];
}

/** Where an authority asks (RFC 8555, section 8.3). */
const CHALLENGE_PORT = 80;

function publicCertificate(config: ProxyValues): readonly Diagnosis[] {
  const { SALLYPORT_TLS_CERT: certificate, SALLYPORT_TLS_KEY: key, SALLYPORT_TLS_TRUSTED: trusted } = config;
  if (certificate === undefined || key === undefined) return [];
  const read = [
    named('SALLYPORT_TLS_CERT', certificate),
    named('SALLYPORT_TLS_KEY', key),
    named('SALLYPORT_TLS_TRUSTED', trusted),
  ];
  const troubles = read.flatMap((one) => one.troubles);
  if (troubles.length > 0) return troubles;
  const [own, ownKey, cas] = read.map(({ text }) => text);
  const pair = { what: 'certificate for devices', certificate: own!, key: ownKey!, use: 'server' as const };
  return [examineCertificate({ ...pair, ...(cas === undefined ? {} : { trusted: cas }) })];
}
