import type { Role } from '../roles.ts';

/** Folder of what packages bring. */
export const PLACE = '/usr/lib/sallyport';
/** The Node of all packages. */
export const NODE: string = `${PLACE}/node/bin/node`;

/** A server as a service of a host: its user, and its folder under /var/lib. */
export interface HostService {
  readonly user: string;
  readonly data: string;
  /** Other folders that it may write to, where they are. */
  readonly writable: readonly string[];
}

/** How each server runs on a host; the command is none. */
export const SERVICES: Readonly<Record<'security' | 'proxy', HostService>> = {
  security: { user: 'sallyport', data: 'sallyport', writable: ['/mnt/backup'] },
  proxy: { user: 'sallyport-proxy', data: 'sallyport-proxy', writable: [] },
};

/** What a server never needs. Its memory stays writable and executable: Node compiles what it runs. */
const HARDENING = [
  'CapabilityBoundingSet=',
  'AmbientCapabilities=',
  'NoNewPrivileges=true',
  'UMask=0077',
  'ProtectSystem=strict',
  'ProtectHome=true',
  'PrivateTmp=true',
  'PrivateDevices=true',
  'PrivateUsers=true',
  'ProtectProc=invisible',
  'ProtectClock=true',
  'ProtectHostname=true',
  'ProtectKernelLogs=true',
  'ProtectKernelModules=true',
  'ProtectKernelTunables=true',
  'ProtectControlGroups=true',
  'RestrictNamespaces=true',
  'RestrictRealtime=true',
  'RestrictSUIDSGID=true',
  'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
  'LockPersonality=true',
  'RemoveIPC=true',
  'KeyringMode=private',
  'SystemCallArchitectures=native',
  'SystemCallFilter=@system-service',
  'SystemCallFilter=~@privileged',
  'SystemCallErrorNumber=EPERM',
];

/** The unit of a server. */
export function unitOf(role: Role, { user, data, writable }: HostService): string {
  const sources = `${PLACE}/${role.name}/${role.apps[0]}/src`;
  const program = [NODE, ...role.nodeOptions, `${sources}/main.ts`].join(' ');
  return `${[
    '[Unit]',
    `Description=${role.title}`,
    'After=network-online.target',
    'Wants=network-online.target',
    '# However often its start ends, while its database is away for a night: it comes back by itself.',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    `EnvironmentFile=/etc/sallyport/${role.name}.env`,
    '# What is insecure or does nothing in the settings ends the start with words.',
    `ExecStartPre=${NODE} ${sources}/lint.ts`,
    `ExecStart=${program}`,
    `User=${user}`,
    `StateDirectory=${data}`,
    'StateDirectoryMode=0700',
    `WorkingDirectory=/var/lib/${data}`,
    ...writable.map((folder) => `ReadWritePaths=-${folder}`),
    'Restart=always',
    'RestartSec=1',
    '# SIGTERM drains: unready, no new work, open streams finish.',
    'KillSignal=SIGTERM',
    'KillMode=mixed',
    'TimeoutStopSec=60',
    'LimitNOFILE=1000000',
    ...HARDENING,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ].join('\n')}\n`;
}
