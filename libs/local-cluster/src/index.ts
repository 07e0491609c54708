export { type AppOptions, AppProcess } from './app-process.ts';
export type { LocalArchive } from './archive.ts';
export { type ClusterTls, createTls } from './certificates.ts';
export { type ClusterOptions, LocalCluster } from './cluster.ts';
export { Daemon } from './daemon.ts';
export { ClusterError, type ClusterErrorCode } from './errors.ts';
export { etcdHealthy, etcdOn } from './etcd.ts';
export { haproxyOn, type Target } from './haproxy.ts';
export { commandOn, type Host, hasProgram, privateFile, privateFolder, serverUser } from './host.ts';
export {
  listPatroniMembers,
  type PatroniMember,
  patroniConfigFile,
  patroniOn,
  postgresBinaries,
} from './patroni.ts';
export { TcpFaultProxy, type TcpFaults } from './tcp-fault.ts';
