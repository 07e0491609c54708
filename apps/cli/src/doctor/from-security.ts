import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type DatabaseWay,
  type Diagnosis,
  examineCertificate,
  examineDatabase,
  examineDisk,
  examineOpenFiles,
  examineRedis,
  examineService,
  readNamed,
} from '@sallyport/doctor';
import { isLoopback, parseHostPort } from '@sallyport/settings';
import { parseRedisUrl } from '@sallyport/store-redis';
import type { BackupPlace, SecurityValues } from '../servers/settings.ts';
import { type Examination, legOf, whereabouts } from './examination.ts';

/** What a node needs of open files at least: connections of Proxies, operators, database and its own files. */
const FILES = 16_384;

/** What is tried from a Security host. `directories` are URLs, ldaps:// or https://, beside those of the settings. */
export function examinationsOfSecurity(config: SecurityValues, directories: readonly string[]): Examination[] {
  return [
    () => [examineDisk(config.SALLYPORT_DATA), examineOpenFiles({ server: 'security', files: FILES })],
    ...ownListeners(config),
    ...database(config),
    ...journal(config),
    ...redis(config),
    ...directories.map(directory),
    ...config.SALLYPORT_BACKUP_TARGETS.map(backupTarget),
    () => directoryCertificate(config),
  ];
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
  ] as const;
  return listeners.map(([port, listen]) => (limits) => {
    const leg = legOf(port, { host: here(listen.host), port: listen.port });
    return examineService(
      { leg: { ...leg, from: 'this host' }, tls: { ca, name }, isOurs: port === 'security-proxies' },
      limits,
    );
  });
}

function here(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** A text of a file that a setting names, or what is wrong with it; undefined when none is named. */
function named(setting: string, file: string | undefined): { text?: string; troubles: readonly Diagnosis[] } {
  if (file === undefined) return { troubles: [] };
  const read = readNamed(setting, file);
  return 'text' in read ? { text: read.text, troubles: [] } : { troubles: [read.trouble] };
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
  return [databaseExamination(way, troubles)];
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
  const [, user, list, name] =
    /^postgres(?:ql)?:\/\/([^@/]+)@(.+)\/([^/?]+)$/.exec(config.SALLYPORT_JOURNAL ?? '') ?? [];
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

/** `ldap://` speaks TLS only after a word of its protocol: its port is tried. */
function directory(url: string): Examination {
  const isProvider = url.startsWith('https:');
  const usual = url.startsWith('ldap:') ? 389 : isProvider ? 443 : 636;
  const leg = legOf(isProvider ? 'provider' : 'directory', whereabouts(url, usual));
  return (limits) => examineService({ leg, ...(url.startsWith('ldap:') ? {} : { tls: {} }) }, limits);
}

/** `SFTP user@host:port/folder`, and `S3 bucket b/prefix at host:port`. Whether they are the marked ones is said by `backup target`. */
function backupTarget({ kind, description, folder }: BackupPlace): Examination {
  if (folder !== undefined) return () => [examineDisk(folder)];
  const [, place = ''] = /@([^/]+)|(?<= at )(\S+)$/.exec(description)?.filter(Boolean) ?? [];
  const name = kind === 'sftp' ? 'backup-sftp' : 'backup-s3';
  const leg = legOf(name, parseHostPort(place) ?? { host: place });
  return (limits) => examineService({ leg }, limits);
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
