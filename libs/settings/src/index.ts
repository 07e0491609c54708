export { addressKey, isLoopback, type ListenAddress, parseAddress, parseHostPort } from './address.ts';
export { type AddressSet, addressSet, addressSetOf } from './address-set.ts';
export { endProcess } from './end-process.ts';
export { withFileLock } from './file-lock.ts';
export { isPublicAddress, type Networks, networksOf } from './networks.ts';
export { type NodeEnvironment, nodeEnvironment } from './node-environment.ts';
export { readJsonFile, replacePrivateFile } from './private-file.ts';
export { processBegun } from './process-begin.ts';
export { Secret } from './secret.ts';
export {
  allVariables,
  hostList,
  integer,
  list,
  listenAddress,
  optionalListenAddress,
  optionalSecret,
  optionalText,
  readSettings,
  type Setting,
  text,
  type Values,
} from './settings.ts';
export { finishAtSignal, makeUntilSignals, SAME_SIGNAL_MS, undoAtSignals } from './undo-at-signals.ts';
export { assertVerifying } from './verifying.ts';
