export { openData, refuseIdentity } from './data.ts';
export { BackupError, type BackupErrorCode, type TargetErrorCode } from './errors.ts';
export {
  type FoundManifest,
  type ManifestKeys,
  putChecked,
  putExport,
  readManifest,
  readObject,
  type SealedExport,
  type SnapshotFacts,
  type Spool,
  sealExport,
} from './export.ts';
export { diskOfFolder, openFolderTarget } from './folder-target.ts';
export {
  type BackupIdentity,
  formatIdentity,
  formatRecipient,
  makeIdentity,
  parseIdentity,
  parseRecipients,
  type Recipient,
} from './identity.ts';
export {
  DEFAULT_KEEP,
  type KeepPlan,
  type KeepReason,
  type KeepRule,
  type KeptExport,
  parseKeepRule,
  planKeep,
} from './keep.ts';
export { type ExportWorth, lookAtTarget, type TargetFindings, type TargetLook, worthOf } from './look.ts';
export {
  EXPORT_FORMAT,
  formatManifest,
  type Manifest,
  type ManifestPart,
  macBytesOf,
  parseManifest,
} from './manifest.ts';
export { markTarget } from './marker.ts';
export {
  EXPORT_OBJECTS,
  type ExportFolder,
  listExports,
  newExportName,
  objectPath,
  realmFolder,
  timeOfName,
} from './name.ts';
export { openPatiently, patientTarget } from './patient-target.ts';
export { openTarget, parseTargetPlace, placeOfFolder, type TargetPlace } from './place.ts';
export { type Pruned, type PruneOrder, pruneExports } from './prune.ts';
export { checkReceipt, formatReceipt, issueReceipt, type Receipt } from './receipt.ts';
export { openS3Target, type S3Folder } from './s3-target.ts';
export { type ExportPart, readScript, writeScript } from './script.ts';
export { openSftpTarget, type SftpFolder } from './sftp-target.ts';
export type { BackupTarget, TargetObject } from './target.ts';
