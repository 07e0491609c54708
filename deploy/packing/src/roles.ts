/** What is packed: one image and one Debian package for each. */
export interface Role {
  readonly name: 'security' | 'proxy' | 'cli';
  readonly title: string;
  readonly description: string;
  /** Folders of the apps that it has, from the root of the project; the first one is started. */
  readonly apps: readonly [string, ...string[]];
  readonly nodeOptions: readonly string[];
  /** Settings that an image has unless somebody says otherwise. */
  readonly settings: Readonly<Record<string, string>>;
  readonly ports: readonly number[];
  /** What says whether a server lives; undefined for a command. */
  readonly health: string | undefined;
}

/** Folder of what a server keeps, in images. */
export const DATA = '/var/lib/sallyport';

/** All roles. The console has no image: there is none yet, and its files will be Security's. */
export const ROLES: readonly Role[] = [
  {
    name: 'security',
    title: 'Sallyport Security',
    description:
      'Vouches for sessions: users, devices, rights and revocations, on a PostgreSQL of your own. With the commands that run on its host',
    apps: ['apps/security', 'apps/cli'],
    nodeOptions: [],
    settings: {
      SALLYPORT_DATA: DATA,
      SALLYPORT_PROXY_LISTEN: '0.0.0.0:8443',
      SALLYPORT_ADMIN_LISTEN: '0.0.0.0:8444',
    },
    ports: [8443, 8444],
    health: 'https://127.0.0.1:8443/healthz',
  },
  {
    name: 'proxy',
    title: 'Sallyport Proxy',
    description:
      'Carries the traffic of devices whose session Security vouches for. Keeps no state but its certificate',
    apps: ['apps/proxy'],
    nodeOptions: ['--max-semi-space-size=4', '--initial-old-space-size=128'],
    settings: {
      SALLYPORT_DATA: DATA,
      SALLYPORT_LISTEN: '0.0.0.0:8440',
      SALLYPORT_HEALTH_LISTEN: '0.0.0.0:8441',
    },
    ports: [8440, 8441],
    health: 'http://127.0.0.1:8441/healthz',
  },
  {
    name: 'cli',
    title: 'Sallyport command',
    description: 'The command of operators and of devices',
    apps: ['apps/cli'],
    nodeOptions: [],
    settings: {},
    ports: [],
    health: undefined,
  },
];
