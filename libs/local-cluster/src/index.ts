export { type AppOptions, AppProcess } from './app-process.ts';
export { type ClusterOptions, LocalCluster, missingPackages } from './cluster.ts';
export { Daemon, type DaemonOptions } from './daemon.ts';
export { ClusterError, type ClusterErrorCode } from './errors.ts';
export { type Balancing, haproxyConfig, haproxyOn, type Target } from './haproxy.ts';
export { commandOn, type Host, type SystemUser, serverUser } from './host.ts';
export { askPatroni, type PatroniMember, type PatroniWord } from './patroni.ts';
export type { ClusterPlace, ClusterSecrets, HostPorts } from './place.ts';
export { REDIS_NAME } from './redis.ts';
