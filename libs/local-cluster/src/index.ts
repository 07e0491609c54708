export { type AppOptions, AppProcess } from './app-process.ts';
export type { LocalArchive } from './archive.ts';
export { type ClusterTls, createTls } from './certificates.ts';
export { type ClusterOptions, LocalCluster } from './cluster.ts';
export { Daemon } from './daemon.ts';
export { ClusterError, type ClusterErrorCode } from './errors.ts';
export { haproxyOn, type Target } from './haproxy.ts';
export { commandOn, type Host, hasProgram, privateFile, privateFolder, serverUser } from './host.ts';
export { postgresBinaries } from './patroni.ts';
