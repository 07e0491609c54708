import { existsSync, readFileSync } from 'node:fs';
import { type KnownServer, parseEnvironmentFile } from '@sallyport/lint';
import { type ListenAddress, readSettings, type Secret, type Values } from '@sallyport/settings';
import { CliError } from '../output.ts';
import { userPath } from '../user-path.ts';
import { knownServer } from './known.ts';

/** Where backups go: in words without secrets, and the folder where it is one of this machine. */
export interface BackupPlace {
  readonly kind: 'folder' | 'sftp' | 's3';
  readonly description: string;
  readonly folder?: string;
  readonly server?: {
    readonly host: string;
    readonly port: number;
    readonly tls: boolean;
    readonly caFile?: string;
  };
}

/** Settings of a Security node, as far as commands need them. */
export interface SecurityValues {
  readonly SALLYPORT_DATA: string;
  readonly SALLYPORT_PROXY_LISTEN: ListenAddress;
  readonly SALLYPORT_ADMIN_LISTEN: ListenAddress;
  readonly SALLYPORT_METRICS_LISTEN: ListenAddress | undefined;
  readonly SALLYPORT_NAMES: readonly string[];
  readonly SALLYPORT_DATABASE_HOSTS: readonly ListenAddress[];
  readonly SALLYPORT_DATABASE_USER: string;
  readonly SALLYPORT_DATABASE_NAME: string;
  readonly SALLYPORT_DATABASE_PASSWORD: Secret | undefined;
  readonly SALLYPORT_DATABASE_CA: string | undefined;
  readonly SALLYPORT_OTHER_SITE_DATABASE_HOSTS: readonly ListenAddress[];
  readonly SALLYPORT_REDIS: string | undefined;
  readonly SALLYPORT_REDIS_PASSWORD: Secret | undefined;
  readonly SALLYPORT_REDIS_CA: string | undefined;
  readonly SALLYPORT_JOURNAL: string | undefined;
  readonly SALLYPORT_JOURNAL_PASSWORD: Secret | undefined;
  readonly SALLYPORT_JOURNAL_CA: string | undefined;
  readonly SALLYPORT_BACKUP_TARGETS: readonly BackupPlace[];
  readonly SALLYPORT_BACKUP_RECIPIENTS: readonly string[];
  readonly SALLYPORT_ATTESTATION: string | undefined;
  readonly SALLYPORT_PACKAGES: string | BackupPlace | undefined;
  readonly SALLYPORT_JOIN_KEYS: string | undefined;
  readonly SALLYPORT_DIRECTORY_LISTEN: ListenAddress | undefined;
  readonly SALLYPORT_DIRECTORY_URL: string | undefined;
  readonly SALLYPORT_DIRECTORY_CERTIFICATE: string | undefined;
  readonly SALLYPORT_DIRECTORY_KEY: string | undefined;
  readonly SALLYPORT_DIRECTORY_TRUSTED: string | undefined;
}

/** Settings of a Proxy, as far as commands need them. */
export interface ProxyValues {
  readonly SALLYPORT_DATA: string;
  readonly SALLYPORT_SECURITY_URLS: readonly string[];
  readonly SALLYPORT_SECURITY_CA: string | undefined;
  readonly SALLYPORT_LISTEN: ListenAddress;
  readonly SALLYPORT_HEALTH_LISTEN: ListenAddress;
  readonly SALLYPORT_METRICS_LISTEN: ListenAddress | undefined;
  readonly SALLYPORT_ACME_LISTEN: ListenAddress | undefined;
  readonly SALLYPORT_MAX_SOCKETS: number;
  readonly SALLYPORT_TLS_CERT: string | undefined;
  readonly SALLYPORT_TLS_KEY: string | undefined;
  readonly SALLYPORT_TLS_TRUSTED: string | undefined;
  readonly SALLYPORT_ACME_DIRECTORY: string | undefined;
  readonly SALLYPORT_ACME_NAMES: readonly string[];
  readonly SALLYPORT_ACME_CA: string | undefined;
  readonly SALLYPORT_ACME_EAB_KID: string | undefined;
}

interface ValuesOf {
  readonly security: SecurityValues;
  readonly proxy: ProxyValues;
}

/** Where settings come from, when neither a file is named nor the environment has them. */
export interface SettingsPlace {
  readonly file?: string | undefined;
  /** The folder of the state of this machine. */
  readonly data: string;
}

/**
 * Settings of a server of this host: of the file that is named, else of the environment, else of its file in /etc/sallyport.
 * @throws CliError naming what is missing or wrong
 */
export async function settingsOfServer<N extends keyof ValuesOf>(name: N, place: SettingsPlace): Promise<ValuesOf[N]> {
  const { settings } = await knownServer(name);
  const values = readOrSay(settings, { SALLYPORT_DATA: place.data, ...environmentOf(name, place) });
  // The server's own table says so; another app cannot name its type.
  return values as unknown as ValuesOf[N];
}

function readOrSay(
  settings: KnownServer['settings'],
  environment: Readonly<Record<string, string | undefined>>,
): Values<KnownServer['settings']> {
  try {
    return readSettings(settings, environment);
  } catch (error) {
    throw new CliError((error as Error).message, 'sallyport lint <file> says which lines, and what to write instead');
  }
}

/** The file of settings of a server that is installed on this host. */
export function usualSettings(name: string): string {
  return `/etc/sallyport/${name}.env`;
}

function environmentOf(name: string, { file }: SettingsPlace): Readonly<Record<string, string | undefined>> {
  const environment = { ...process.env };
  if (file !== undefined) return variablesOf(userPath(file));
  if (environment['SALLYPORT_DATA'] !== undefined) return environment;
  const usual = usualSettings(name);
  return existsSync(usual) ? variablesOf(usual) : environment;
}

function variablesOf(file: string): Record<string, string> {
  return Object.fromEntries(parseEnvironmentFile(readFileSync(file, 'utf8')).map(({ name, value }) => [name, value]));
}
