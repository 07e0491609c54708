export { type AcmeOptions, AcmeServer } from './acme-server.ts';
export { type ApkKey, makeApk, makeApkKey, makeBundle, signApk, signBundle, signRotated } from './apk-maker.ts';
export { type IssuedPair, type IssueOrder, TestAuthority } from './authority.ts';
export { launchChromium, PAGE_WITHIN_MS } from './browser.ts';
export { caughtUp } from './caught-up.ts';
export { selfSigned } from './certificate.ts';
export { type BadCertificate, badCertificates, type TlsPlace, tlsLoad } from './certificate-load.ts';
export {
  CLI,
  type CommandOptions,
  type CommandResult,
  isAlive,
  isListening,
  listening,
  type Running,
  runCommand,
  sallyport,
  signalTo,
  startCommand,
  startSallyport,
  waitFor,
} from './command.ts';
export { countriesFile } from './countries-file.ts';
export { inTime } from './in-time.ts';
export { inLanes } from './lanes.ts';
export { DRIVER_ADDRESS, isIsolated, Network, runIsolated } from './network.ts';
export { freePort } from './ports.ts';
export { randomFrom } from './random.ts';
export { Repeating } from './repeating.ts';
export { scratchFolder } from './scratch.ts';
export { freeBasePort, type StartedAll, startAll, startCluster } from './start-all.ts';
export { pythonSays, type VerifiedCertificate, verifyStrictly } from './strictly.ts';
export { groupsOf, scanTls, type TlsScan } from './tls-scan.ts';
export { type MadePart, makeZip } from './zip-maker.ts';
