export type { BackupErrorCode, TargetErrorCode } from './errors.ts';
export { openFolderTarget } from './folder-target.ts';
export {
  EXPORT_FORMAT,
  formatManifest,
  type Manifest,
  type ManifestPart,
  macTextOf,
  parseManifest,
} from './manifest.ts';
export {
  EXPORT_OBJECTS,
  type ExportFolder,
  listExports,
  newExportName,
  objectPath,
  realmFolder,
  timeOfName,
} from './name.ts';
export type { BackupTarget, TargetObject } from './target.ts';
