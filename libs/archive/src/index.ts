export { type ArchiveContents, type BaseBackup, parseArchiveContents } from './contents.ts';
export {
  ARCHIVE_PORT,
  type ArchivedDatabase,
  type ArchiveHost,
  type ArchivePlaces,
  type ArchivePlan,
  archiveCommand,
  archiveParameters,
  configFile,
  DEBIAN_PLACES,
  databaseConfig,
  includeFolder,
  passphraseConfig,
  passphraseFile,
  repositoryConfig,
  STANZA,
} from './plan.ts';
export { type ArchiveTrouble, type ArchiveTroubleCode, archiveTrouble } from './trouble.ts';
