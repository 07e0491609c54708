export { CertificateFiles, type CertificatePaths, certificatePaths } from './certificate-files.ts';
export { createPlainServer, guardedListener, type PlainListener, pathOf } from './plain.ts';
export { decodeProxyHeader, type ProxiedPeer, type ProxyHeader, takeAddressesFrom } from './proxy-protocol.ts';
export { type Ready, type RunningServer, runServer, type Server, type Starting } from './run-server.ts';
export {
  addHealthRoutes,
  createMetricsService,
  createService,
  ProblemError,
  type ServiceOptions,
} from './service.ts';
export { StartWait } from './start-wait.ts';
export { type UnknownLimits, UnknownSockets } from './unknown-sockets.ts';
