/** A test by its file, from the root, and its title: what shows that a line holds. */
export interface Shown {
  readonly file: string;
  /** As it stands in the file, or the beginning of it. */
  readonly test: string;
  /** Where only a part of the line is shown: which. */
  readonly only?: string;
}

/** Something that Sallyport runs on, or beside. */
export interface Supported {
  readonly area:
    | 'platforms'
    | 'upgrades'
    | 'Node'
    | 'databases'
    | 'Redis'
    | 'Kubernetes'
    | 'load balancers'
    | 'browsers'
    | 'directories'
    | 'backup targets';
  readonly what: string;
  /** The test, `untested` where none shows it, or `no` where it does not work. */
  readonly shown: Shown | 'untested' | 'no';
  readonly note?: string;
}

const POSTGRES = 'libs/store-sql/test/child-postgres.test.ts';
const CHART = 'deploy/packing/test/chart.test.ts';
const FARM = 'test/fault/test/scenarios';

/** What Sallyport is supported on. `docs/support.md` is made from it (`npm run support`), and each test that is named exists. */
export const MATRIX: readonly Supported[] = [
  {
    area: 'platforms',
    what: 'Debian 12, amd64, from a clone',
    shown: { file: 'test/end-to-end/test/main-job.test.ts', test: 'a device enrols, signs in and reads a page' },
    note: 'every test runs there',
  },
  {
    area: 'platforms',
    what: 'Debian 12, amd64, packages',
    shown: {
      file: 'deploy/packing/test/debian.test.ts',
      test: 'the package of a Proxy has its program, its unit and its settings, and belongs to root',
      only: 'what is in a package',
    },
  },
  {
    area: 'platforms',
    what: 'images of OCI, amd64 (podman, Kubernetes)',
    shown: {
      file: 'deploy/packing/test/packed.test.ts',
      test: 'an image has what its program imports and nothing that only developers use',
      only: 'what is in an image',
    },
  },
  {
    area: 'platforms',
    what: 'arm64',
    shown: 'untested',
    note: 'packages and images are made on a machine of that kind',
  },
  { area: 'platforms', what: 'other distributions of Linux with glibc', shown: 'untested' },
  { area: 'platforms', what: 'macOS', shown: 'untested', note: 'devices and the command only' },
  { area: 'platforms', what: 'Windows, servers', shown: 'no', note: 'servers run on Linux' },
  {
    area: 'upgrades',
    what: 'from the version before and back, one server after another, with writes on',
    shown: { file: `${FARM}/rolling.test.ts`, test: "shows('rolling')", only: 'restarts, of one version' },
    note: '`npm run fault -- rolling --before last` does it with two ([results](fault/results.md#rolling-between-two-versions))',
  },
  {
    area: 'upgrades',
    what: 'from a version whose rows carry no MAC, or whose accounts are not sealed',
    shown: 'no',
    note: 'all nodes are stopped for it: older code refuses the newer schema',
  },
  {
    area: 'Node',
    what: 'Node 24 for servers and the command: the one that the lock file pins',
    shown: { file: 'deploy/packing/test/support.test.ts', test: 'tests run on the Node that the project pins' },
  },
  {
    area: 'Node',
    what: 'Node 24 for the SDK',
    shown: {
      file: 'test/end-to-end/test/sdk-packages.test.ts',
      test: 'the ten lines of the guide run on Node outside of the repository',
    },
  },
  { area: 'Node', what: 'Node 20 or 22 for the SDK', shown: 'untested' },
  {
    area: 'databases',
    what: 'PostgreSQL 15, as a child and external',
    shown: { file: POSTGRES, test: 'starts, stops and goes on where it was' },
    note: 'Debian 12 has it, and most tests run on it',
  },
  { area: 'databases', what: 'PostgreSQL 16', shown: 'untested' },
  { area: 'databases', what: 'PostgreSQL 17', shown: 'untested' },
  {
    area: 'databases',
    what: 'PostgreSQL 18',
    shown: { file: POSTGRES, test: 'starts, stops and goes on where it was', only: 'as a child' },
    note: 'the one inside the npm packages',
  },
  { area: 'databases', what: 'PostgreSQL 14 and before', shown: 'no', note: '`sallyport doctor` says so' },
  {
    area: 'databases',
    what: 'Patroni 3.0 with etcd, synchronous standbys',
    shown: { file: `${FARM}/durability.test.ts`, test: "shows('durability')" },
  },
  {
    area: 'databases',
    what: 'a managed PostgreSQL (RDS, Cloud SQL, Azure)',
    shown: 'untested',
    note: 'values/managed-database.yaml is rendered by nobody but you',
  },
  { area: 'databases', what: 'CloudNativePG', shown: 'untested' },
  { area: 'databases', what: 'PgBouncer, sessions', shown: 'untested' },
  { area: 'databases', what: 'PgBouncer, transactions', shown: 'no', note: 'locks of a session are used' },
  {
    area: 'Redis',
    what: 'Redis 7.0: one server, Sentinels, Cluster',
    shown: {
      file: 'libs/store-redis/test/store-redis.test.ts',
      test: 'a frozen, dead or emptied Redis costs a moment',
      only: 'one server',
    },
  },
  {
    area: 'Redis',
    what: 'Redis 7.0 with Sentinels that elect',
    shown: { file: `${FARM}/redis.test.ts`, test: "shows('redis')" },
  },
  { area: 'Redis', what: 'Valkey, Redis 8', shown: 'untested' },
  {
    area: 'Kubernetes',
    what: 'Kubernetes 1.34: the objects of the chart',
    shown: { file: CHART, test: 'every object is valid by the schema of its kind', only: 'their schemas' },
    note: '`npm run kubernetes -- judge` asks a real API server',
  },
  {
    area: 'Kubernetes',
    what: 'Kubernetes 1.34: a farm of two nodes under load',
    shown: 'untested',
    note: 'by hand: `npm run kubernetes` ([what was seen](kubernetes.md#what-was-shown-and-what-was-not))',
  },
  {
    area: 'Kubernetes',
    what: 'Kubernetes 1.35 to 1.37',
    shown: 'untested',
    note: 'by hand: their schemas take every object (`npm run kubernetes -- judge`)',
  },
  { area: 'Kubernetes', what: 'Kubernetes 1.30 to 1.33', shown: 'untested' },
  {
    area: 'Kubernetes',
    what: 'Helm 3.19',
    shown: {
      file: CHART,
      test: 'the manifests that are checked in are those of the chart',
      only: 'rendering, where that Helm is',
    },
    note: '`npm run kubernetes -- build` builds it',
  },
  {
    area: 'Kubernetes',
    what: 'Helm 4.1',
    shown: 'untested',
    note: 'by hand: 4.1.4 renders the same manifests, byte for byte',
  },
  {
    area: 'Kubernetes',
    what: 'prometheus-adapter, for an autoscaler by channels',
    shown: {
      file: CHART,
      test: 'an autoscaler by channels asks for the metric that Proxies have and the example of an adapter serves',
      only: 'names',
    },
    note: '`deploy/kubernetes/examples/prometheus-adapter.yaml`; 0.12.0 with Prometheus 3.13 in `npm run kubernetes`',
  },
  {
    area: 'Kubernetes',
    what: 'Gateway API, Ingress',
    shown: { file: CHART, test: 'every object is valid by the schema of its kind', only: 'their schemas' },
  },
  {
    area: 'load balancers',
    what: 'HAProxy 2.6',
    shown: { file: `${FARM}/proxies.test.ts`, test: "shows('proxies')" },
    note: '`deploy/production/haproxy.cfg`',
  },
  {
    area: 'load balancers',
    what: 'nginx 1.22',
    shown: {
      file: 'libs/doctor/test/balancers.test.ts',
      test: 'the recipe for nginx leaves nothing in the way',
      only: 'WebSockets by `sallyport doctor`; no farm behind it',
    },
    note: '`deploy/production/nginx.conf`',
  },
  {
    area: 'load balancers',
    what: 'Envoy 1.40',
    shown: {
      file: 'libs/doctor/test/balancers.test.ts',
      test: 'the recipe for Envoy leaves nothing in the way, and one without Upgrade is named',
      only: 'WebSockets by `sallyport doctor`, where Envoy is installed; no farm behind it',
    },
    note: '`deploy/production/envoy.yaml`',
  },
  {
    area: 'load balancers',
    what: 'balancers of clouds',
    shown: 'untested',
    note: 'try them: `sallyport doctor --from device`',
  },
  {
    area: 'browsers',
    what: 'Chromium, for the phone page and the SDK',
    shown: {
      file: 'test/end-to-end/test/phone.test.ts',
      test: 'the phone page enrols, signs in and shows an intranet page with its pictures',
    },
  },
  { area: 'browsers', what: 'Firefox', shown: 'untested' },
  { area: 'browsers', what: 'Safari', shown: 'untested' },
  {
    area: 'directories',
    what: 'OpenLDAP 2.5',
    shown: {
      file: 'test/end-to-end/test/directory-ldap.test.ts',
      test: 'the first sync brings everybody with their groups, through groups in groups',
    },
  },
  {
    area: 'directories',
    what: 'Active Directory',
    shown: 'untested',
    note: 'by no test; once by hand with a Samba 4.17 AD DC. Its attributes and its way to sync are played by OpenLDAP',
  },
  {
    area: 'directories',
    what: 'Entra ID, Okta and others by OpenID Connect and SCIM',
    shown: 'untested',
    note: 'their clients are played',
  },
  {
    area: 'backup targets',
    what: 'a folder',
    shown: { file: 'libs/backup/test/folder-target.test.ts', test: 'targetContract(' },
  },
  {
    area: 'backup targets',
    what: 'SFTP: OpenSSH 9.2',
    shown: { file: 'libs/backup/test/sftp-target.test.ts', test: 'targetContract(' },
  },
  {
    area: 'backup targets',
    what: 'S3',
    shown: { file: 'libs/backup/test/s3-target.test.ts', test: 'targetContract(' },
    note: 'played by a server of the tests; no store of a cloud was asked',
  },
];
