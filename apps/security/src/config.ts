import { DEFAULT_LEASE_MS } from '@sallyport/access';
import { backupKeep, backupTargets, DEFAULT_KEEP, folderOrBucket } from '@sallyport/backup/settings';
import {
  addressSet,
  hostList,
  integer,
  list,
  listenAddress,
  optionalListenAddress,
  optionalSecret,
  optionalText,
  type Setting,
  text,
  type Values,
} from '@sallyport/settings';

const ACCOUNT_SITE = /^([a-z0-9-]+\/[a-z0-9.-]+)=(\S+)$/;

/** Site by service account, which is `namespace/name`: each may join one site. */
function accountSites(about: string): Setting<ReadonlyMap<string, string>> {
  const parsePair = (text: string): [string, string] => {
    const [, account, site] = ACCOUNT_SITE.exec(text.trim()) ?? [];
    if (account === undefined || site === undefined) throw new TypeError('expected namespace/account=site');
    return [account, site];
  };
  return {
    about,
    fallback: new Map(),
    parse(value) {
      const pairs = value.split(',').map(parsePair);
      if (new Set(pairs.map(([account]) => account)).size < pairs.length)
        throw new TypeError('an account is there twice');
      return new Map(pairs);
    },
  };
}

/** Settings of a Security server, from the environment. `npm run settings` writes their table into docs/operator.md. */
export const SETTINGS = {
  SALLYPORT_DATA: text('folder of the keys, and of the database unless an external one is given'),
  SALLYPORT_REALM: text('name of the realm', 'main'),
  SALLYPORT_KEK_FILE: optionalText(
    'a `kek.json` that a node which has none yet begins with, like a mounted secret; absent: the first node of a realm makes one',
  ),
  SALLYPORT_PROXY_LISTEN: listenAddress('where Proxies connect: mutual TLS 1.3', { host: '127.0.0.1', port: 8443 }),
  SALLYPORT_ADMIN_LISTEN: listenAddress('where operators connect: TLS 1.3', { host: '127.0.0.1', port: 8444 }),
  SALLYPORT_NAMES: list('host names and addresses in the server certificate', ['localhost', '127.0.0.1', '::1']),
  SALLYPORT_CERTIFICATE_LIFE_MS: integer(
    'how long certificates of our own CA are good, those of listeners and of Proxies: each is renewed before half of it is over',
    { min: 20_000, max: 604_800_000, fallback: 172_800_000 },
  ),
  SALLYPORT_PROXY_URL: optionalText('URL under which Proxies reach this node; absent: where it listens'),
  SALLYPORT_ADMIN_URL: optionalText('URL under which operators reach this node; absent: where it listens'),
  SALLYPORT_NODE: optionalText('name of this node among several; absent: host name and port'),
  SALLYPORT_DATABASE_HOSTS: hostList(
    '`host:port,…` of an external PostgreSQL, the primary among them is found; absent: a child process of our own',
  ),
  SALLYPORT_DATABASE_USER: text('role in the external PostgreSQL', 'sallyport'),
  SALLYPORT_DATABASE_NAME: text('database in the external PostgreSQL', 'sallyport'),
  SALLYPORT_DATABASE_PASSWORD: optionalSecret('password of that role'),
  SALLYPORT_DATABASE_CA: optionalText('PEM file: CA of the external PostgreSQL, needed unless that is on this machine'),
  SALLYPORT_OTHER_SITE_DATABASE_HOSTS: hostList(
    '`host:port,…` of the database of the other site, with the same role, password and CA: closed by `sallyport standby takeover`',
  ),
  SALLYPORT_OTHER_SITE_NODES: list(
    'URLs under which Proxies reach the Security nodes of the other site once it has taken over: Proxies know them from their first beat',
    [],
  ),
  SALLYPORT_REDIS: optionalText(
    '`rediss://host:port`, `rediss+sentinel://host:port,…/name` or `rediss+cluster://host:port,…`; absent: memory of this node',
  ),
  SALLYPORT_REDIS_PASSWORD: optionalSecret('password of Redis and of its Sentinels'),
  SALLYPORT_REDIS_CA: optionalText('PEM file: CA of Redis'),
  SALLYPORT_JOURNAL: optionalText(
    'where revocations are kept outside of the database: `file:/folder` or `postgresql://role@host:port,…/database` on ' +
      'another server; absent: a folder beside our own child database, none beside an external one',
  ),
  SALLYPORT_JOURNAL_PASSWORD: optionalSecret('password of the role of the journal'),
  SALLYPORT_JOURNAL_CA: optionalText('PEM file: CA of the PostgreSQL of the journal'),
  SALLYPORT_JOURNAL_AUTHORITY_MS: integer('how long leases are given while the PostgreSQL of the journal is away', {
    min: 5_000,
    max: 600_000,
    fallback: 60_000,
  }),
  SALLYPORT_BACKUP_TARGETS: backupTargets(
    'where backups go, one or several: `file:/folder` (also of a share), `sftp://user@host:port/folder?key=/file&hostkey=SHA256:…`, ' +
      '`s3://bucket/prefix?endpoint=https://host&region=name&credentials=/file&ca=/file`; each is marked once by `sallyport backup ' +
      'target init`. Absent: no backup',
  ),
  SALLYPORT_BACKUP_RECIPIENTS: list(
    'files with the recipients of backups, as `sallyport backup keys new` makes them: whoever has the identity of one opens and verifies them',
    [],
  ),
  SALLYPORT_BACKUP_EVERY_MS: integer('how often a backup is made', { min: 1_000, max: 86_400_000, fallback: 300_000 }),
  SALLYPORT_BACKUP_KEEP: backupKeep(
    'which backups are kept: all of so long, then one of each hour, day and month; with h, d, w, m (31 days), y. Verified ones and ' +
      'the newest always stay',
    DEFAULT_KEEP,
  ),
  SALLYPORT_ATTESTATION: optionalText(
    'JSON file: roots, lists and keys by which evidence of devices is verified (`docs/attestation.md`), the same at every node; absent: ' +
      'only the connector `software`, for development',
  ),
  SALLYPORT_PACKAGES: folderOrBucket(
    'where the packages of apps are, one place for all nodes: a folder that they share, or `s3://bucket/prefix?endpoint=https://host&region=name&' +
      'credentials=/file&ca=/file`; absent: beside the keys of this node',
  ),
  SALLYPORT_LEASE_MS: integer('how long a cut-off Proxy may serve after its last beat: the bound of a revocation', {
    min: 1_000,
    max: 300_000,
    fallback: DEFAULT_LEASE_MS,
  }),
  SALLYPORT_DIRECTORY_LISTEN: optionalListenAddress('where SCIM clients and OpenID providers connect; absent: nowhere'),
  SALLYPORT_DIRECTORY_URL: optionalText('URL under which they reach this node; absent: where it listens'),
  SALLYPORT_DIRECTORY_CERTIFICATE: optionalText('PEM file: certificate that they trust; absent: one of our own CA'),
  SALLYPORT_DIRECTORY_KEY: optionalText('PEM file: key of that certificate'),
  SALLYPORT_DIRECTORY_TRUSTED: optionalText(
    'PEM file: CAs that they trust, and no certificate of another one is taken; absent: those of this system, and whose the one before is',
  ),
  SALLYPORT_BALANCERS: addressSet(
    'load balancers in front that speak the PROXY protocol, version 2, like `10.1.2.3,10.9.0.0/24`: limits and lock-outs ' +
      'count the address that they name, and whatever comes from them without that header is closed',
  ),
  SALLYPORT_ADDRESS_BURST: integer('handshakes of one address at once: sign-ins and enrolments of all who share it', {
    min: 1,
    max: 1_000_000,
    fallback: 60,
  }),
  SALLYPORT_ADDRESS_PER_MINUTE: integer('handshakes of one address a minute', {
    min: 1,
    max: 1_000_000,
    fallback: 120,
  }),
  SALLYPORT_JOIN_ACCOUNTS: accountSites(
    'service accounts of a Kubernetes cluster whose pods may join as Proxies, each of one site: `namespace/account=site,…`; absent: none',
  ),
  SALLYPORT_JOIN_ISSUER: optionalText('issuer of their tokens, as the cluster writes it into them'),
  SALLYPORT_JOIN_AUDIENCE: text('audience of their tokens: for this gateway alone', 'sallyport'),
  SALLYPORT_JOIN_KEYS: optionalText(
    'file with the keys of the cluster, as `kubectl get --raw /openid/v1/jwks` prints them; read again when it changes',
  ),
  SALLYPORT_METRICS_LISTEN: optionalListenAddress(
    'where `/metrics` is read, and from the beginning of a start `/healthz` and `/readyz`, which says what it waits for; without TLS: ' +
      'an address that only your Prometheus and your probes reach; absent: nowhere',
  ),
  SALLYPORT_DRAIN_MS: integer('how long handshakes may finish after SIGTERM', { min: 0, max: 60_000, fallback: 3_000 }),
  SALLYPORT_LOG_LEVEL: text('level of the log: `trace`, `debug`, `info`, `warn`, `error` or `fatal`', 'info'),
};

/** Values of the settings. */
export type Config = Values<typeof SETTINGS>;
