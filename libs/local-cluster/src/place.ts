import { join } from 'node:path';
import type { ClusterTls } from './certificates.ts';
import type { DaemonOptions } from './daemon.ts';
import type { Host, SystemUser } from './host.ts';

/** Ports of the servers of one host. */
export interface HostPorts {
  readonly etcd: { readonly client: number; readonly peer: number };
  readonly postgres: number;
  readonly patroni: number;
  readonly redis: number;
  readonly sentinel: number;
  /** Security: Proxies and operators. */
  readonly security: number;
  readonly admin: number;
  /** pgBackRest's server. */
  readonly archive: number;
}

const PORTS_OF_A_HOST = 10;

/** Ports by host, counted from a base: distinct also when all hosts are one machine. */
export function portsFrom(base: number): (index: number) => HostPorts {
  return (index) => {
    const first = base + index * PORTS_OF_A_HOST;
    return {
      etcd: { client: first, peer: first + 1 },
      postgres: first + 2,
      patroni: first + 3,
      redis: first + 4,
      sentinel: first + 5,
      security: first + 6,
      admin: first + 7,
      archive: first + 8,
    };
  };
}

/** Random passwords of one cluster. */
export interface ClusterSecrets {
  readonly superuser: string;
  readonly replication: string;
  readonly sallyport: string;
  /** For whoever changes something through Patroni's API. */
  readonly patroni: string;
  readonly redis: string;
  /** What the repository of the archive is encrypted with. */
  readonly archive: string;
}

/** Where a cluster lives. */
export interface ClusterPlace {
  readonly folder: string;
  readonly user: SystemUser | undefined;
  readonly tls: ClusterTls;
  readonly secrets: ClusterSecrets;
  readonly ports: (index: number) => HostPorts;
  /** Folder of what runs on a host. */
  hostFolder(host: Host): string;
  /** Options of a daemon on a host, but for its command. */
  daemon(name: string, host: Host, part: string): Omit<DaemonOptions, 'command'>;
}

/** Builds a place from its parts. */
export function clusterPlace(parts: Omit<ClusterPlace, 'hostFolder' | 'daemon'>): ClusterPlace {
  const hostFolder = (host: Host): string => join(parts.folder, host.name);
  return {
    ...parts,
    hostFolder,
    daemon: (name, host, part) => ({
      name,
      host,
      user: parts.user,
      cwd: hostFolder(host),
      logFile: join(parts.folder, 'logs', `${host.name}-${part}.log`),
    }),
  };
}
