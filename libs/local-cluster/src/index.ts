export { type AppOptions, AppProcess } from './app-process.ts';
export { type ClusterTls, createTls } from './certificates.ts';
export { type ClusterOptions, LocalCluster } from './cluster.ts';
export { Daemon } from './daemon.ts';
export { ClusterError, type ClusterErrorCode } from './errors.ts';
export { haproxyOn, type Target } from './haproxy.ts';
export { type Host, serverUser } from './host.ts';
