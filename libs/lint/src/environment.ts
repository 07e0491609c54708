import { allVariables, isLoopback, type Setting } from '@sallyport/settings';
import type { SetVariable } from './environment-file.ts';
import type { LintFault } from './fault.ts';
import { nearestName } from './nearest.ts';
import { hasSecretInUrl, withoutUserInfo } from './url-secret.ts';

/** A server and what it reads. */
export interface KnownServer {
  readonly name: 'security' | 'proxy';
  readonly settings: Readonly<Record<string, Setting<unknown>>>;
}

/** Settings as they are given to a server. */
export interface EnvironmentSource {
  /** File, or what else is said before a fault. */
  readonly where: string;
  readonly variables: readonly SetVariable[];
  /** Mode of the file; absent where there is none. */
  readonly mode?: number;
  /** In a pod, NetworkPolicies and not addresses say who reaches a listener. */
  readonly place: 'host' | 'pod';
}

/** A doubt about one setting. */
interface Doubt {
  readonly setting: string;
  readonly what: string;
  readonly change: string;
  readonly severity?: 'warning';
}

/** Settings that were given, by their names: as text, and as values where they can be read. */
interface GivenSettings {
  readonly server: KnownServer['name'];
  readonly place: EnvironmentSource['place'];
  readonly texts: ReadonlyMap<string, string>;
  readonly values: ReadonlyMap<string, unknown>;
}

const OURS = /^SALLYPORT_/;
/** Behind the name of a secret: the file in which it stands. */
const FILE = '_FILE';
const PLACEHOLDER = /CHANGE_[A-Z0-9_]*/;

/** Everything that is wrong with the settings of a server, in the order of their lines. */
export function judgeEnvironment(source: EnvironmentSource, { name, settings }: KnownServer): LintFault[] {
  const server = { name, settings: allVariables(settings) };
  const lines = new Map(source.variables.map(({ name, line }) => [name, line]));
  const given = givenOf(source, server);
  const doubts = [
    ...source.variables.flatMap((variable) => doubtsOfVariable(variable, source, server)),
    ...missing(given, server),
    ...RULES.flatMap((rule) => rule(given)),
    ...exposed(source, server),
  ];
  const faults = doubts.map(({ setting, what, change, severity }): LintFault => {
    const line = lines.get(setting);
    const fault: LintFault = {
      where: source.where,
      severity: severity ?? 'error',
      what: `${setting}: ${what}`,
      change,
    };
    return line === undefined ? fault : { ...fault, line };
  });
  return faults.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

function givenOf({ variables, place }: EnvironmentSource, { name, settings }: KnownServer): GivenSettings {
  const texts = new Map(variables.filter(({ value }) => value !== '').map(({ name: key, value }) => [key, value]));
  // A secret in a file is given, too.
  for (const key of [...texts.keys()])
    if (isFileOfSecret(key, settings)) texts.set(key.slice(0, -FILE.length), 'in a file');
  const values = new Map<string, unknown>();
  for (const [key, text] of texts) {
    const parsed = settings[key] && parsedBy(settings[key], text);
    if (parsed && 'value' in parsed) values.set(key, parsed.value);
  }
  return { server: name, place, texts, values };
}

function isFileOfSecret(name: string, settings: KnownServer['settings']): boolean {
  return name.endsWith(FILE) && settings[name.slice(0, -FILE.length)]?.secret === true;
}

function parsedBy(setting: Setting<unknown>, text: string): { readonly value: unknown } | { readonly words: string } {
  try {
    return { value: setting.parse(text) };
  } catch (error) {
    return { words: (error as Error).message };
  }
}

function doubtsOfVariable(variable: SetVariable, source: EnvironmentSource, server: KnownServer): Doubt[] {
  const { name, value, line } = variable;
  const setting = server.settings[name];
  if (!setting) return OURS.test(name) ? [unknown(name, server)] : [];
  const again = source.variables.find((other) => other.name === name && other !== variable);
  if (again && (again.line ?? 0) > (line ?? 0))
    return [
      {
        setting: name,
        what: `is set again in line ${again.line}: one of the two does nothing`,
        change: 'keep one of the two lines',
      },
    ];
  const isTwice = source.variables.some((other) => other.value !== '' && name === `${other.name}${FILE}`);
  if (isTwice && isFileOfSecret(name, server.settings))
    return [
      {
        setting: name,
        what: 'the secret is given twice, here and by its value',
        change: 'take away the line with the value',
      },
    ];
  if (value === '')
    return [
      { setting: name, what: 'is empty, which is as if it were absent', change: 'give a value, or take the line away' },
    ];
  const placeholder = PLACEHOLDER.exec(value)?.[0];
  if (placeholder)
    return [
      {
        setting: name,
        what: `still has ${placeholder} of the example`,
        change: `${name}=… with your own in its place`,
      },
    ];
  if (hasSecretInUrl(value))
    return [
      {
        setting: name,
        what: 'a password has no place in a URL: whoever is shown the setting has it',
        change: `${name}=${withoutUserInfo(value)}, and the password by the setting for it`,
      },
    ];
  const parsed = parsedBy(setting, value);
  if ('words' in parsed) return [{ setting: name, what: `${parsed.words} (${setting.about})`, change: `${name}=…` }];
  return [];
}

function unknown(name: string, { name: server, settings }: KnownServer): Doubt {
  const nearest = nearestName(name, Object.keys(settings));
  const what = `no setting of ${server} is called so: it does nothing`;
  return { setting: name, what, change: nearest ? `${nearest}=…` : 'take the line away' };
}

function missing({ texts }: GivenSettings, { settings }: KnownServer): Doubt[] {
  const absent = Object.entries(settings).filter(([name, setting]) => !('fallback' in setting) && !texts.has(name));
  return absent.map(([setting, { about }]) => ({ setting, what: `is missing: ${about}`, change: `${setting}=…` }));
}

/** A file with secrets belongs to who starts the server alone. */
function exposed({ mode, variables }: EnvironmentSource, { settings }: KnownServer): Doubt[] {
  const secret = variables.find(({ name, value }) => settings[name]?.secret === true && value !== '');
  if (!secret || mode === undefined || (mode & 0o077) === 0) return [];
  const what = `is a secret in a file of mode ${(mode & 0o777).toString(8).padStart(4, '0')}, which others can read`;
  return [{ setting: secret.name, what, change: 'chmod 0600 the file' }];
}

/** What does nothing without something else. */
const NEEDS: readonly (readonly [name: string, needs: string])[] = [
  ['SALLYPORT_DATABASE_USER', 'SALLYPORT_DATABASE_HOSTS'],
  ['SALLYPORT_DATABASE_NAME', 'SALLYPORT_DATABASE_HOSTS'],
  ['SALLYPORT_DATABASE_PASSWORD', 'SALLYPORT_DATABASE_HOSTS'],
  ['SALLYPORT_DATABASE_PASSWORD_FILE', 'SALLYPORT_DATABASE_HOSTS'],
  ['SALLYPORT_DATABASE_CA', 'SALLYPORT_DATABASE_HOSTS'],
  ['SALLYPORT_OTHER_SITE_DATABASE_HOSTS', 'SALLYPORT_DATABASE_HOSTS'],
  ['SALLYPORT_REDIS_PASSWORD', 'SALLYPORT_REDIS'],
  ['SALLYPORT_REDIS_PASSWORD_FILE', 'SALLYPORT_REDIS'],
  ['SALLYPORT_REDIS_CA', 'SALLYPORT_REDIS'],
  ['SALLYPORT_JOURNAL_PASSWORD', 'SALLYPORT_JOURNAL'],
  ['SALLYPORT_JOURNAL_PASSWORD_FILE', 'SALLYPORT_JOURNAL'],
  ['SALLYPORT_JOURNAL_CA', 'SALLYPORT_JOURNAL'],
  ['SALLYPORT_JOURNAL_AUTHORITY_MS', 'SALLYPORT_JOURNAL'],
  ['SALLYPORT_BACKUP_TARGETS', 'SALLYPORT_BACKUP_RECIPIENTS'],
  ['SALLYPORT_BACKUP_RECIPIENTS', 'SALLYPORT_BACKUP_TARGETS'],
  ['SALLYPORT_BACKUP_EVERY_MS', 'SALLYPORT_BACKUP_TARGETS'],
  ['SALLYPORT_BACKUP_KEEP', 'SALLYPORT_BACKUP_TARGETS'],
  ['SALLYPORT_DIRECTORY_URL', 'SALLYPORT_DIRECTORY_LISTEN'],
  ['SALLYPORT_DIRECTORY_CERTIFICATE', 'SALLYPORT_DIRECTORY_LISTEN'],
  ['SALLYPORT_DIRECTORY_CERTIFICATE', 'SALLYPORT_DIRECTORY_KEY'],
  ['SALLYPORT_DIRECTORY_KEY', 'SALLYPORT_DIRECTORY_CERTIFICATE'],
  ['SALLYPORT_DIRECTORY_TRUSTED', 'SALLYPORT_DIRECTORY_CERTIFICATE'],
  ['SALLYPORT_JOIN_ACCOUNTS', 'SALLYPORT_JOIN_ISSUER'],
  ['SALLYPORT_JOIN_ACCOUNTS', 'SALLYPORT_JOIN_KEYS'],
  ['SALLYPORT_JOIN_ISSUER', 'SALLYPORT_JOIN_ACCOUNTS'],
  ['SALLYPORT_JOIN_KEYS', 'SALLYPORT_JOIN_ACCOUNTS'],
  ['SALLYPORT_JOIN_AUDIENCE', 'SALLYPORT_JOIN_ACCOUNTS'],
  ['SALLYPORT_JOIN_ACCOUNT_TOKEN', 'SALLYPORT_SECURITY_URLS'],
  ['SALLYPORT_JOIN_ACCOUNT_TOKEN', 'SALLYPORT_SECURITY_CA'],
  ['SALLYPORT_SECURITY_URLS', 'SALLYPORT_JOIN_ACCOUNT_TOKEN'],
  ['SALLYPORT_SECURITY_CA', 'SALLYPORT_JOIN_ACCOUNT_TOKEN'],
  ['SALLYPORT_TLS_CERT', 'SALLYPORT_TLS_KEY'],
  ['SALLYPORT_TLS_KEY', 'SALLYPORT_TLS_CERT'],
  ['SALLYPORT_ACME_DIRECTORY', 'SALLYPORT_ACME_NAMES'],
  ['SALLYPORT_ACME_DIRECTORY', 'SALLYPORT_ACME_LISTEN'],
  ['SALLYPORT_ACME_NAMES', 'SALLYPORT_ACME_DIRECTORY'],
  ['SALLYPORT_ACME_LISTEN', 'SALLYPORT_ACME_DIRECTORY'],
  ['SALLYPORT_ACME_CONTACT', 'SALLYPORT_ACME_DIRECTORY'],
  ['SALLYPORT_ACME_CA', 'SALLYPORT_ACME_DIRECTORY'],
  ['SALLYPORT_ACME_ACCOUNT_KEY', 'SALLYPORT_ACME_DIRECTORY'],
  ['SALLYPORT_ACME_EAB_KID', 'SALLYPORT_ACME_DIRECTORY'],
  ['SALLYPORT_ACME_EAB_KID', 'SALLYPORT_ACME_EAB_KEY'],
  ['SALLYPORT_ACME_EAB_KEY', 'SALLYPORT_ACME_EAB_KID'],
];

/** A bound of a revocation above this is none, ms. */
const MAX_LEASE_MS = 60_000;
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** Checks that look at several settings, or at what a value means. */
const RULES: readonly ((given: GivenSettings) => Doubt[])[] = [
  checksNothing,
  lonely,
  twoWaysToJoin,
  twoCertificates,
  lonelyTrust,
  openMetrics,
  plainRedis,
  plainDatabase,
  plainJournal,
  plainUrls,
  unnamedHost,
  longLease,
  talkativeLog,
  passingData,
  openListener,
  believedHops,
];

/** Certificates of anybody, or TLS that is broken. */
function checksNothing({ texts }: GivenSettings): Doubt[] {
  const doubts: Doubt[] = [];
  if (texts.get('NODE_TLS_REJECT_UNAUTHORIZED') === '0')
    doubts.push({
      setting: 'NODE_TLS_REJECT_UNAUTHORIZED',
      what: 'lets anybody pretend to be every server',
      change: 'take the line away, and name the CA that is to be trusted',
    });
  if (/--tls-min-v1\.[01]|--insecure-http-parser|--inspect/.test(texts.get('NODE_OPTIONS') ?? ''))
    doubts.push({
      setting: 'NODE_OPTIONS',
      what: 'takes away what protects the server',
      change: 'take that option away',
    });
  return doubts;
}

function lonely({ texts }: GivenSettings): Doubt[] {
  return NEEDS.filter(([name, needs]) => texts.has(name) && !texts.has(needs)).map(([setting, needs]) => ({
    setting,
    what: `does nothing without ${needs}`,
    change: `${needs}=…, or take the line away`,
  }));
}

function twoWaysToJoin({ texts }: GivenSettings): Doubt[] {
  if (!texts.has('SALLYPORT_JOIN_TOKEN') || !texts.has('SALLYPORT_JOIN_ACCOUNT_TOKEN')) return [];
  const what = 'a pod joins by the token of its account, so this one does nothing';
  return [{ setting: 'SALLYPORT_JOIN_TOKEN', what, change: 'take the line away' }];
}

function twoCertificates({ texts }: GivenSettings): Doubt[] {
  if (!texts.has('SALLYPORT_ACME_DIRECTORY') || !texts.has('SALLYPORT_TLS_CERT')) return [];
  const what = 'a listener has one certificate, and this one has files: the Proxy does not start with both';
  return [{ setting: 'SALLYPORT_ACME_DIRECTORY', what, change: 'take these lines away, or those of the files' }];
}

function lonelyTrust({ texts }: GivenSettings): Doubt[] {
  if (!texts.has('SALLYPORT_TLS_TRUSTED') || endsTls(texts)) return [];
  const what = 'does nothing without SALLYPORT_TLS_CERT or SALLYPORT_ACME_DIRECTORY';
  return [{ setting: 'SALLYPORT_TLS_TRUSTED', what, change: 'SALLYPORT_TLS_CERT=…, or take the line away' }];
}

/** Whether a Proxy has a certificate for devices. */
function endsTls(texts: ReadonlyMap<string, string>): boolean {
  return texts.has('SALLYPORT_TLS_CERT') || texts.has('SALLYPORT_ACME_DIRECTORY');
}

function openMetrics({ values, place }: GivenSettings): Doubt[] {
  const listen = values.get('SALLYPORT_METRICS_LISTEN') as Listening | undefined;
  if (place === 'pod' || !listen || !isWide(listen)) return [];
  const what = 'whoever reaches this host reads the metrics, which have no TLS and no password';
  const change = `SALLYPORT_METRICS_LISTEN=127.0.0.1:${listen.port}, or an address that only your Prometheus reaches`;
  return [{ setting: 'SALLYPORT_METRICS_LISTEN', what, change }];
}

interface Listening {
  readonly host: string;
  readonly port: number;
}

function isWide({ host }: Listening): boolean {
  return ['0.0.0.0', '::', '*'].includes(host);
}

function plainRedis({ texts }: GivenSettings): Doubt[] {
  const url = withoutUserInfo(texts.get('SALLYPORT_REDIS') ?? '');
  const [, hosts] = /^redis(?:\+\w+)?:\/\/([^/]+)/.exec(url) ?? [];
  if (!hosts || hosts.split(',').every((host) => isLoopback(host.replace(/:\d+$/, '')))) return [];
  const what = 'Redis on another machine is reached without TLS: whoever listens reads its password';
  return [{ setting: 'SALLYPORT_REDIS', what, change: `SALLYPORT_REDIS=${url.replace('redis', 'rediss')}` }];
}

function plainDatabase({ texts, values }: GivenSettings): Doubt[] {
  const hosts = (values.get('SALLYPORT_DATABASE_HOSTS') as readonly Listening[] | undefined) ?? [];
  const away = hosts.some(({ host }) => !host.startsWith('/') && !isLoopback(host));
  const doubts: Doubt[] = [];
  if (away && !texts.has('SALLYPORT_DATABASE_CA'))
    doubts.push({
      setting: 'SALLYPORT_DATABASE_HOSTS',
      what: 'a database on another machine needs TLS, and no CA is named',
      change: 'SALLYPORT_DATABASE_CA=/file/with/its/ca.pem',
    });
  if (away && !texts.has('SALLYPORT_DATABASE_PASSWORD') && !texts.has('SALLYPORT_DATABASE_PASSWORD_FILE'))
    doubts.push({
      setting: 'SALLYPORT_DATABASE_HOSTS',
      what: 'the role has no password: then anybody who reaches the database is it, or nobody',
      change: 'SALLYPORT_DATABASE_PASSWORD=…',
    });
  return doubts;
}

function plainJournal({ texts }: GivenSettings): Doubt[] {
  const [, hosts] = /^postgres(?:ql)?:\/\/[^@/]+@(.+)\/[^/?]+$/.exec(texts.get('SALLYPORT_JOURNAL') ?? '') ?? [];
  if (!hosts || texts.has('SALLYPORT_JOURNAL_CA')) return [];
  if (hosts.split(',').every((host) => host.startsWith('/') || isLoopback(host.replace(/:\d+$/, '')))) return [];
  const what = 'a journal on another machine needs TLS, and no CA is named';
  return [{ setting: 'SALLYPORT_JOURNAL', what, change: 'SALLYPORT_JOURNAL_CA=/file/with/its/ca.pem' }];
}

const URLS = ['SALLYPORT_PROXY_URL', 'SALLYPORT_ADMIN_URL', 'SALLYPORT_DIRECTORY_URL', 'SALLYPORT_JOIN_ISSUER'];
const URL_LISTS = ['SALLYPORT_SECURITY_URLS', 'SALLYPORT_OTHER_SITE_NODES'];

function plainUrls({ texts, values }: GivenSettings): Doubt[] {
  const all = [
    ...URLS.map((name) => [name, withoutUserInfo(texts.get(name) ?? 'https:')] as const),
    ...URL_LISTS.flatMap((name) =>
      ((values.get(name) as readonly string[] | undefined) ?? []).map((url) => [name, withoutUserInfo(url)] as const),
    ),
  ];
  return all
    .filter(([, url]) => !url.startsWith('https:'))
    .map(([setting, url]) => ({
      setting,
      what: 'is no https:// URL, and there is nothing but TLS there',
      change: `${setting}=${/^\w+:\/\//.test(url) ? url.replace(/^\w+:/, 'https:') : `https://${url}`}`,
    }));
}

/** A name under which others come must be in the certificate. */
function unnamedHost({ server, texts, values }: GivenSettings): Doubt[] {
  if (server !== 'security') return [];
  const names = (values.get('SALLYPORT_NAMES') as readonly string[] | undefined) ?? ['localhost', '127.0.0.1', '::1'];
  return ['SALLYPORT_PROXY_URL', 'SALLYPORT_ADMIN_URL'].flatMap((setting) => {
    const host = hostOf(texts.get(setting));
    if (host === undefined || names.includes(host) || host.includes('$(')) return [];
    const what = `the certificate is not for ${host}: whoever comes by this URL refuses it`;
    return [{ setting, what, change: `SALLYPORT_NAMES=${[...names, host].join(',')}` }];
  });
}

function hostOf(url: string | undefined): string | undefined {
  const [, host] = /^https:\/\/(\[[^\]]+\]|[^/:]+)/.exec(url ?? '') ?? [];
  return host?.replace(/^\[|\]$/g, '');
}

function longLease({ values }: GivenSettings): Doubt[] {
  const lease = values.get('SALLYPORT_LEASE_MS');
  if (typeof lease !== 'number' || lease <= MAX_LEASE_MS) return [];
  const what = `a Proxy that is cut off serves who was revoked for ${lease / 1_000} s`;
  return [{ setting: 'SALLYPORT_LEASE_MS', what, change: 'SALLYPORT_LEASE_MS=15000' }];
}

function talkativeLog({ texts }: GivenSettings): Doubt[] {
  const level = texts.get('SALLYPORT_LOG_LEVEL');
  if (level === undefined || (LEVELS.includes(level) && LEVELS.indexOf(level) > 1)) return [];
  const change = 'SALLYPORT_LOG_LEVEL=info';
  if (!LEVELS.includes(level))
    return [{ setting: 'SALLYPORT_LOG_LEVEL', what: `there is no such level; there are ${LEVELS.join(', ')}`, change }];
  const what = `${level} is for looking for a fault: it writes a lot, for every request`;
  return [{ setting: 'SALLYPORT_LOG_LEVEL', what, change, severity: 'warning' }];
}

function passingData({ texts, place }: GivenSettings): Doubt[] {
  const data = texts.get('SALLYPORT_DATA') ?? '';
  if (place === 'pod' || !/^\/(tmp|run|dev\/shm|var\/tmp)(\/|$)/.test(data)) return [];
  const what = `${data} is emptied when the host starts: keys would be gone`;
  return [{ setting: 'SALLYPORT_DATA', what, change: 'SALLYPORT_DATA=/var/lib/sallyport' }];
}

/** Devices from anywhere, without TLS and without a balancer that ends it. */
function openListener({ server, texts, values }: GivenSettings): Doubt[] {
  const listen = values.get('SALLYPORT_LISTEN') as Listening | undefined;
  const hops = Number(texts.get('SALLYPORT_TRUSTED_HOPS') ?? 0);
  if (server !== 'proxy' || !listen || isLoopback(listen.host)) return [];
  if (endsTls(texts) || texts.has('SALLYPORT_BALANCERS') || hops > 0) return [];
  const what =
    'TLS neither ends here nor is a balancer named that ends it: limits would count that one as a single device';
  return [
    {
      setting: 'SALLYPORT_LISTEN',
      what,
      change: 'SALLYPORT_TRUSTED_HOPS=1, or SALLYPORT_TLS_CERT and SALLYPORT_TLS_KEY, or SALLYPORT_ACME_DIRECTORY',
    },
  ];
}

function believedHops({ texts }: GivenSettings): Doubt[] {
  const hops = Number(texts.get('SALLYPORT_TRUSTED_HOPS') ?? 0);
  if (!(hops > 0)) return [];
  if (texts.has('SALLYPORT_BALANCERS'))
    return [
      {
        setting: 'SALLYPORT_TRUSTED_HOPS',
        what: 'the balancer says the address by the PROXY protocol, so X-Forwarded-For is whatever a device writes',
        change: 'take the line away',
      },
    ];
  if (!endsTls(texts)) return [];
  const what = 'TLS ends here: only a balancer that ends it, too, and encrypts again can add X-Forwarded-For';
  return [
    {
      setting: 'SALLYPORT_TRUSTED_HOPS',
      what,
      change: 'SALLYPORT_TRUSTED_HOPS=0, unless it does',
      severity: 'warning',
    },
  ];
}
