import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type DatabaseWay,
  type Diagnosis,
  examineCertificate,
  examineDatabase,
  examineDisk,
  examineOpenFiles,
  examineRedis,
  examineService,
} from '@sallyport/doctor';
import { isLoopback, type ListenAddress, parseHostPort } from '@sallyport/settings';
import { parseRedisUrl } from '@sallyport/store-redis';
import type { BackupPlace, SecurityValues } from '../servers/settings.ts';
import { type Examination, legOf, named, ownLeg, surroundings, whereabouts } from './examination.ts';

/** What a node needs of open files at least: connections of Proxies, operators, database and its own files. */
const FILES = 16_384;

/** Who else is asked by Security, beside those of its settings. */
export interface DirectoryNeighbours {
  /** `ldaps://`, `ldap://` (StartTLS) or `https://`. */
  readonly urls: readonly string[];
  /** PEM file of their CA; absent: those of this system. */
  readonly caFile?: string | undefined;
}

/** What is tried from a Security host. */
export function examinationsOfSecurity(config: SecurityValues, directories: DirectoryNeighbours): Examination[] {
  const hosts = [...config.SALLYPORT_DATABASE_HOSTS.map(({ host }) => host), ...directories.urls.map(hostOfUrl)];
  return [
    () => [examineDisk(config.SALLYPORT_DATA), examineOpenFiles({ server: 'security', files: FILES })],
    ...surroundings(hosts),
    ...ownListeners(config),
    ...database(config),
    ...journal(config),
    ...redis(config),
    ...directories.urls.map((url) => directory(url, directories.caFile)),
    ...config.SALLYPORT_BACKUP_TARGETS.map((place) => backupTarget(place)),
    ...packages(config),
    () => directoryCertificate(config),
    () => namedFiles(config),
  ];
}

function hostOfUrl(url: string): string {
  return whereabouts(url, 0).host;
}

/** The listeners of this node, by our own CA: whoever cannot reach them from here cannot from anywhere. */
function ownListeners(config: SecurityValues): Examination[] {
  const file = join(config.SALLYPORT_DATA, 'security', 'ca.pem');
  if (!existsSync(file)) return [];
  const ca = readFileSync(file, 'utf8');
  const name = config.SALLYPORT_NAMES[0]!;
  const listeners = [
    ['security-proxies', config.SALLYPORT_PROXY_LISTEN],
    ['security-admin', config.SALLYPORT_ADMIN_LISTEN],
    ['security-directory', config.SALLYPORT_DIRECTORY_LISTEN],
    ['security-metrics', config.SALLYPORT_METRICS_LISTEN],
  ] as const;
  return listeners.flatMap(([port, listen]) =>
    listen ? [ownListener(config, { port, listen, tls: { ca, name } })] : [],
  );
}

interface OwnListener {
  readonly port: string;
  readonly listen: ListenAddress;
  readonly tls: { readonly ca: string; readonly name: string };
}

function ownListener(config: SecurityValues, { port, listen, tls }: OwnListener): Examination {
  const leg = ownLeg(port, listen);
  // A certificate in files is looked at there.
  const isOfOthers = port === 'security-directory' && config.SALLYPORT_DIRECTORY_CERTIFICATE !== undefined;
  const isPlain = port === 'security-metrics';
  const { SALLYPORT_DIRECTORY_URL: url } = config;
  const name = port === 'security-directory' && url !== undefined ? hostOfUrl(url) : tls.name;
  const way = { leg, ...(isOfOthers || isPlain ? {} : { tls: { ...tls, name } }), isOurs: port === 'security-proxies' };
  return (limits) => examineService(way, limits);
}

function database(config: SecurityValues): Examination[] {
  const { SALLYPORT_DATABASE_HOSTS: hosts, SALLYPORT_DATABASE_CA: file } = config;
  if (hosts.length === 0) return [];
  const { text: ca, troubles } = named('SALLYPORT_DATABASE_CA', file);
  const way: DatabaseWay = {
    from: 'Security',
    to: 'database',
    hosts,
    user: config.SALLYPORT_DATABASE_USER,
    password: config.SALLYPORT_DATABASE_PASSWORD?.reveal() ?? '',
    database: config.SALLYPORT_DATABASE_NAME,
    ...(ca === undefined ? {} : { ca }),
  };
  const others = config.SALLYPORT_OTHER_SITE_DATABASE_HOSTS;
  return [
    databaseExamination(way, troubles),
    ...(others.length === 0 ? [] : [databaseExamination({ ...way, hosts: others, follows: true }, troubles)]),
  ];
}

/** Without TLS nothing is said to a database on another machine: whoever answers there could ask for the password. */
function databaseExamination(way: DatabaseWay, troubles: readonly Diagnosis[]): Examination {
  const isClosed = way.ca !== undefined || way.hosts.every(({ host }) => host.startsWith('/') || isLoopback(host));
  if (isClosed && troubles.length === 0) return (limits) => examineDatabase(way, limits);
  const { from, to, hosts } = way;
  const unnamed: Diagnosis = {
    ...{ subject: `${from} → ${to}`, check: 'certificate', state: 'failure' },
    words: 'a database on another machine needs TLS, and no CA is named: only its ports are tried',
    next: 'the setting of its CA names the file: SALLYPORT_DATABASE_CA, SALLYPORT_JOURNAL_CA',
  };
  return async (limits) => {
    const reached = await Promise.all(hosts.map((place) => examineService({ leg: { from, to, ...place } }, limits)));
    return [...(troubles.length > 0 ? troubles : [unnamed]), ...reached.flat()];
  };
}

function journal(config: SecurityValues): Examination[] {
  const { SALLYPORT_JOURNAL: place = '' } = config;
  if (place.startsWith('file:'))
    return [() => [examineMadeFolder(decodeURIComponent(place.replace(/^file:(\/\/)?/, '')))]];
  const [, user, list, name] = /^postgres(?:ql)?:\/\/([^@/]+)@(.+)\/([^/?]+)$/.exec(place) ?? [];
  if (user === undefined || list === undefined || name === undefined) return [];
  const { text: ca, troubles } = named('SALLYPORT_JOURNAL_CA', config.SALLYPORT_JOURNAL_CA);
  const way: DatabaseWay = {
    ...{ from: 'Security', to: 'journal', user, database: name },
    hosts: list
      .split(',')
      .map((one) => parseHostPort(one) ?? { host: one, port: legOf('journal', { host: one }).port }),
    password: config.SALLYPORT_JOURNAL_PASSWORD?.reveal() ?? '',
    ...(ca === undefined ? {} : { ca }),
  };
  return [databaseExamination(way, troubles)];
}

function redis(config: SecurityValues): Examination[] {
  const { SALLYPORT_REDIS: url } = config;
  if (url === undefined) return [];
  const { text: ca, troubles } = named('SALLYPORT_REDIS_CA', config.SALLYPORT_REDIS_CA);
  const password = config.SALLYPORT_REDIS_PASSWORD?.reveal();
  const means = { ...(password === undefined ? {} : { password }), ...(ca === undefined ? {} : { ca }) };
  return [
    async (limits) => {
      const address = addressOfRedis(url);
      if ('trouble' in address) return [address.trouble];
      return [...troubles, ...(await examineRedis({ from: 'Security', ...address, ...means }, limits))];
    },
  ];
}

function addressOfRedis(url: string): ReturnType<typeof parseRedisUrl> | { readonly trouble: Diagnosis } {
  try {
    return parseRedisUrl(url);
  } catch (error) {
    const words = (error as Error).message;
    const next = 'sallyport lint <file> says what to write';
    return { trouble: { subject: 'SALLYPORT_REDIS', check: 'settings', state: 'failure', words, next } };
  }
}

/** `ldap://` speaks TLS after a word of its protocol (StartTLS). */
function directory(url: string, caFile: string | undefined): Examination {
  const isProvider = url.startsWith('https:');
  const usual = url.startsWith('ldap:') ? 389 : isProvider ? 443 : 636;
  const leg = legOf(isProvider ? 'provider' : 'directory', whereabouts(url, usual));
  const { text: ca, troubles } = named('--directory-ca', caFile);
  const remedies = {
    renew: 'renew it on that server',
    trust: 'name its CA: --directory-ca here, --ca of "directory add"',
  };
  const beginning = url.startsWith('ldap:') ? { beginning: 'LDAP' as const } : {};
  const tls = { ...(ca === undefined ? {} : { ca }), ...beginning, remedies };
  return async (limits) => [...troubles, ...(await examineService({ leg, tls }, limits))];
}

/** Whether they are the marked ones is said by `backup target`. */
function backupTarget({ kind, folder, server }: BackupPlace, s3 = 'backup-s3'): Examination {
  if (folder !== undefined) return () => [examineDisk(folder)];
  if (!server) return () => [];
  const leg = legOf(kind === 'sftp' ? 'backup-sftp' : s3, server);
  if (!server.tls)
    return (limits) => examineService({ leg, ...(kind === 'sftp' ? { greeting: 'SSH-2.0' } : {}) }, limits);
  const { text: ca, troubles } = named('ca of the target', server.caFile);
  const remedies = { renew: 'renew it on that server', trust: 'name its CA: &ca=/file behind the target' };
  const tls = { ...(ca === undefined ? {} : { ca }), remedies };
  return async (limits) => [...troubles, ...(await examineService({ leg, tls }, limits))];
}

/** A folder that the server makes when it first needs it. */
function examineMadeFolder(folder: string): Diagnosis {
  const parent = dirname(folder);
  return existsSync(folder) || parent === folder ? examineDisk(folder) : examineMadeFolder(parent);
}

/** Other files that settings name. */
function namedFiles(config: SecurityValues): readonly Diagnosis[] {
  const files = [
    ['SALLYPORT_ATTESTATION', config.SALLYPORT_ATTESTATION],
    ['SALLYPORT_JOIN_KEYS', config.SALLYPORT_JOIN_KEYS],
    ...config.SALLYPORT_BACKUP_RECIPIENTS.map((file) => ['SALLYPORT_BACKUP_RECIPIENTS', file] as const),
  ] as const;
  return files.flatMap(([setting, file]) => named(setting, file).troubles);
}

/** Where packages of apps are, unless that is with all else of this node. */
function packages({ SALLYPORT_PACKAGES: place }: SecurityValues): Examination[] {
  if (place === undefined) return [];
  return [typeof place === 'string' ? () => [examineMadeFolder(place)] : backupTarget(place, 'packages-s3')];
}

function directoryCertificate(config: SecurityValues): readonly Diagnosis[] {
  const { SALLYPORT_DIRECTORY_CERTIFICATE: certificate, SALLYPORT_DIRECTORY_KEY: key } = config;
  if (certificate === undefined || key === undefined) return [];
  const files = [
    named('SALLYPORT_DIRECTORY_CERTIFICATE', certificate),
    named('SALLYPORT_DIRECTORY_KEY', key),
    named('SALLYPORT_DIRECTORY_TRUSTED', config.SALLYPORT_DIRECTORY_TRUSTED),
  ];
  const troubles = files.flatMap((file) => file.troubles);
  if (troubles.length > 0) return troubles;
  const [own, ownKey, trusted] = files.map(({ text }) => text);
  const pair = { what: 'certificate for directories', certificate: own!, key: ownKey!, use: 'server' as const };
  return [examineCertificate({ ...pair, ...(trusted === undefined ? {} : { trusted }) })];
}
