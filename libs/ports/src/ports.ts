/** Who connects, and to whom. */
export type FarmPlace =
  | 'devices'
  | 'balancer'
  | 'Proxy'
  | 'Security'
  | 'operators'
  | 'Prometheus'
  | 'database'
  | 'journal'
  | 'Redis'
  | 'repository'
  | 'phone page'
  | 'backends'
  | 'directories'
  | 'providers'
  | 'authorities'
  | 'backup targets'
  | 'package store'
  | 'name servers'
  | 'time servers';

/** A place that is a host of the farm. */
export type FarmServer =
  | 'balancer'
  | 'Proxy'
  | 'Security'
  | 'database'
  | 'journal'
  | 'Redis'
  | 'repository'
  | 'phone page';

/** Places that are hosts of the farm, each with a firewall of its own. */
export const SERVERS: readonly FarmServer[] = [
  'balancer',
  'Proxy',
  'Security',
  'database',
  'journal',
  'Redis',
  'repository',
  'phone page',
];

/** One way from place to place. The source opens the connection, and answers come back on it: nothing is ever opened the other way. */
export interface Port {
  readonly name: string;
  readonly from: readonly FarmPlace[];
  readonly to: FarmPlace;
  /** Where it listens unless a setting says otherwise. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  readonly purpose: string;
  /** What proves the destination, and the source where that has to prove itself. */
  readonly certificate: string;
  /** When it is needed; absent: always. */
  readonly when?: string;
  /** The setting that says where it listens, or where it leads. */
  readonly setting?: string;
  /** How the chart calls it: its part of the farm, its name there, and who connects in a cluster. */
  readonly chart?: readonly [part: 'security' | 'proxy' | 'outside', name: string, from: string];
}

/** A server with TLS that says so itself, with a certificate of our own CA. */
const OUR_CA = 'of our own CA; renews itself';
const DATABASE_TLS = 'of the database: `SALLYPORT_DATABASE_CA` names its CA';
const REDIS_TLS = 'of Redis: `SALLYPORT_REDIS_CA` names its CA';
const FARM_TLS = 'both sides: of the CA of your database hosts';

/**
 * Every port of a farm. Documents, rules of firewalls and the chart are made from it (`npm run ports`), and `sallyport doctor` tries
 * it.
 */
export const PORTS: readonly Port[] = [
  {
    name: 'devices',
    from: ['devices'],
    to: 'balancer',
    port: 443,
    protocol: 'tcp',
    purpose: 'WebSocket of a device; browsers read the phone page here, too, where there is one',
    certificate: 'for the name of the site, of a CA that devices trust; none where TLS is passed through',
  },
  {
    name: 'proxy-devices',
    from: ['balancer'],
    to: 'Proxy',
    port: 8440,
    protocol: 'tcp',
    purpose: 'the same WebSocket, from the balancer or from devices themselves',
    certificate:
      '`SALLYPORT_TLS_CERT`, or by ACME; none where the balancer ends TLS (what is inside is encrypted end to end)',
    setting: 'SALLYPORT_LISTEN',
    chart: ['proxy', 'devices', 'devices'],
  },
  {
    name: 'proxy-health',
    from: ['balancer'],
    to: 'Proxy',
    port: 8441,
    protocol: 'tcp',
    purpose: '`/readyz`: whether a Proxy may be given more',
    certificate: 'none',
    setting: 'SALLYPORT_HEALTH_LISTEN',
    chart: ['proxy', 'health', 'kubelet'],
  },
  {
    name: 'proxy-metrics',
    from: ['Prometheus'],
    to: 'Proxy',
    port: 8442,
    protocol: 'tcp',
    purpose: '`/metrics`, and `/readyz` from the beginning of a start',
    certificate: 'none',
    when: 'with Prometheus',
    setting: 'SALLYPORT_METRICS_LISTEN',
    chart: ['proxy', 'metrics', 'prometheus'],
  },
  {
    name: 'proxy-acme',
    from: ['authorities'],
    to: 'Proxy',
    port: 8447,
    protocol: 'tcp',
    purpose: 'challenges of ACME, from anywhere; port 80 of each name leads here',
    certificate: 'none',
    when: 'with `SALLYPORT_ACME_DIRECTORY`',
    setting: 'SALLYPORT_ACME_LISTEN',
  },
  {
    name: 'phone-page',
    from: ['balancer'],
    to: 'phone page',
    port: 8480,
    protocol: 'tcp',
    purpose: 'files of the phone page, which then is a device; it connects to nobody',
    certificate: 'none: the balancer ends TLS, for the origin of the page and for the wildcard of its resources',
    when: 'with the phone page',
    setting: 'SALLYPORT_LISTEN',
  },
  {
    name: 'security-proxies',
    from: ['Proxy'],
    to: 'Security',
    port: 8443,
    protocol: 'tcp',
    purpose: 'grants, revocations, leases, handshakes',
    certificate: `${OUR_CA}; the Proxy shows its own, of the same CA`,
    setting: 'SALLYPORT_PROXY_LISTEN',
    chart: ['security', 'proxies', 'proxy'],
  },
  {
    name: 'security-admin',
    from: ['operators'],
    to: 'Security',
    port: 8444,
    protocol: 'tcp',
    purpose: 'admin API: `sallyport`',
    certificate: OUR_CA,
    setting: 'SALLYPORT_ADMIN_LISTEN',
    chart: ['security', 'admin', 'operators'],
  },
  {
    name: 'security-directory',
    from: ['directories', 'providers'],
    to: 'Security',
    port: 8445,
    protocol: 'tcp',
    purpose: 'SCIM, and logout by OpenID providers',
    certificate: '`SALLYPORT_DIRECTORY_CERTIFICATE`, or one of our own CA',
    when: 'with SCIM or back-channel logout',
    setting: 'SALLYPORT_DIRECTORY_LISTEN',
  },
  {
    name: 'security-metrics',
    from: ['Prometheus'],
    to: 'Security',
    port: 8446,
    protocol: 'tcp',
    purpose: '`/metrics`, and `/readyz` from the beginning of a start',
    certificate: 'none',
    when: 'with Prometheus',
    setting: 'SALLYPORT_METRICS_LISTEN',
    chart: ['security', 'metrics', 'prometheus'],
  },
  {
    name: 'database',
    from: ['Security'],
    to: 'database',
    port: 5432,
    protocol: 'tcp',
    purpose: 'PostgreSQL, with a second site also the one there',
    certificate: DATABASE_TLS,
    when: 'with a database of your own',
    setting: 'SALLYPORT_DATABASE_HOSTS',
    chart: ['outside', 'database', 'security'],
  },
  {
    name: 'journal',
    from: ['Security'],
    to: 'journal',
    port: 5432,
    protocol: 'tcp',
    purpose: 'PostgreSQL of the journal of revocations',
    certificate: 'of that database: `SALLYPORT_JOURNAL_CA` names its CA',
    when: 'with a journal in a database',
    setting: 'SALLYPORT_JOURNAL',
  },
  {
    name: 'redis',
    from: ['Security'],
    to: 'Redis',
    port: 6379,
    protocol: 'tcp',
    purpose: 'wake-ups, throttles, last seen',
    certificate: REDIS_TLS,
    when: 'with several Security nodes',
    setting: 'SALLYPORT_REDIS',
    chart: ['outside', 'redis', 'security'],
  },
  {
    name: 'sentinel',
    from: ['Security', 'Redis'],
    to: 'Redis',
    port: 26379,
    protocol: 'tcp',
    purpose: 'Sentinels: who is the primary',
    certificate: REDIS_TLS,
    when: 'with Sentinels',
    setting: 'SALLYPORT_REDIS',
  },
  {
    name: 'redis-replication',
    from: ['Redis'],
    to: 'Redis',
    port: 6379,
    protocol: 'tcp',
    purpose: 'replicas of Redis',
    certificate: REDIS_TLS,
    when: 'with replicas of Redis',
  },
  {
    name: 'backends',
    from: ['Proxy'],
    to: 'backends',
    port: 443,
    protocol: 'tcp',
    purpose: 'requests of devices; the ports of your resources, this one is an example',
    certificate: 'of the backend; the Proxy shows the one of `certificate add` where a backend asks',
  },
  {
    name: 'acme',
    from: ['Proxy'],
    to: 'authorities',
    port: 443,
    protocol: 'tcp',
    purpose: 'certificates for devices by ACME',
    certificate: 'of the authority, of a public CA or the one of `SALLYPORT_ACME_CA`',
    when: 'with `SALLYPORT_ACME_DIRECTORY`',
    setting: 'SALLYPORT_ACME_DIRECTORY',
  },
  {
    name: 'directory',
    from: ['Security'],
    to: 'directories',
    port: 636,
    protocol: 'tcp',
    purpose: 'LDAP: users and their passwords',
    certificate: 'of the directory: its CA is named when it is added',
    when: 'with LDAP or Active Directory',
  },
  {
    name: 'provider',
    from: ['Security'],
    to: 'providers',
    port: 443,
    protocol: 'tcp',
    purpose: 'OpenID Connect: keys, tokens',
    certificate: 'of the provider, of a public CA or the one that is named',
    when: 'with an OpenID provider',
  },
  {
    name: 'backup-sftp',
    from: ['Security'],
    to: 'backup targets',
    port: 22,
    protocol: 'tcp',
    purpose: 'backups by SFTP',
    certificate: 'the host key that the target names',
    when: 'with a target `sftp:`',
    setting: 'SALLYPORT_BACKUP_TARGETS',
  },
  {
    name: 'backup-s3',
    from: ['Security'],
    to: 'backup targets',
    port: 443,
    protocol: 'tcp',
    purpose: 'backups to S3',
    certificate: 'of the endpoint, of a public CA or the one that the target names',
    when: 'with a target `s3:`',
    setting: 'SALLYPORT_BACKUP_TARGETS',
  },
  {
    name: 'packages-s3',
    from: ['Security'],
    to: 'package store',
    port: 443,
    protocol: 'tcp',
    purpose: 'packages of apps, in S3',
    certificate: 'of the endpoint, of a public CA or the one that the setting names',
    when: 'with packages in `s3:`',
    setting: 'SALLYPORT_PACKAGES',
  },
  {
    name: 'replication',
    from: ['database'],
    to: 'database',
    port: 5432,
    protocol: 'tcp',
    purpose: 'standbys follow the primary',
    certificate: DATABASE_TLS,
    when: 'with standbys',
  },
  {
    name: 'patroni',
    from: ['database'],
    to: 'database',
    port: 8008,
    protocol: 'tcp',
    purpose: 'Patroni: who is the primary, switching over',
    certificate: FARM_TLS,
    when: 'with Patroni',
  },
  {
    name: 'etcd-clients',
    from: ['database'],
    to: 'database',
    port: 2379,
    protocol: 'tcp',
    purpose: 'etcd for Patroni',
    certificate: FARM_TLS,
    when: 'with Patroni',
  },
  {
    name: 'etcd-peers',
    from: ['database'],
    to: 'database',
    port: 2380,
    protocol: 'tcp',
    purpose: 'etcd among itself',
    certificate: FARM_TLS,
    when: 'with Patroni',
  },
  {
    name: 'archive',
    from: ['database', 'repository'],
    to: 'repository',
    port: 8432,
    protocol: 'tcp',
    purpose: 'pgBackRest: the log of changes goes to the archive',
    certificate: FARM_TLS,
    when: 'with continuous backup',
  },
  {
    name: 'archive-databases',
    from: ['repository'],
    to: 'database',
    port: 8432,
    protocol: 'tcp',
    purpose: 'pgBackRest: base backups',
    certificate: FARM_TLS,
    when: 'with continuous backup',
  },
  {
    name: 'dns',
    from: ['balancer', 'Proxy', 'Security', 'database', 'journal', 'Redis', 'repository'],
    to: 'name servers',
    port: 53,
    protocol: 'udp',
    purpose: 'names',
    certificate: 'none',
    chart: ['outside', 'dns', 'both'],
  },
  {
    name: 'dns-tcp',
    from: ['balancer', 'Proxy', 'Security', 'database', 'journal', 'Redis', 'repository'],
    to: 'name servers',
    port: 53,
    protocol: 'tcp',
    purpose: 'names with long answers',
    certificate: 'none',
  },
  {
    name: 'time',
    from: ['balancer', 'Proxy', 'Security', 'database', 'journal', 'Redis', 'repository'],
    to: 'time servers',
    port: 123,
    protocol: 'udp',
    purpose: 'NTP: clocks agree to less than a second',
    certificate: 'none',
  },
];

/** A way by its name. @throws TypeError for one that the table does not have */
export function portNamed(name: string): Port {
  const port = PORTS.find((one) => one.name === name);
  if (!port) throw new TypeError(`the table of ports has no ${name}`);
  return port;
}

/** Whether a way leads into the farm, out of it, or stays inside. */
export function directionOf({ from, to }: Port): 'in' | 'inside' | 'out' {
  const inside = (place: FarmPlace): boolean => (SERVERS as readonly FarmPlace[]).includes(place);
  if (!inside(to)) return 'out';
  return from.every(inside) ? 'inside' : 'in';
}
