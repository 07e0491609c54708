export { Secret } from './secret.ts';
export {
  hostList,
  integer,
  type ListenAddress,
  list,
  listenAddress,
  optionalSecret,
  optionalText,
  readSettings,
  type Setting,
  SettingsError,
  text,
  type Values,
} from './settings.ts';
