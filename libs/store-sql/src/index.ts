export { embeddedPostgres, findPostgres } from './binaries.ts';
export { ChildPostgres, type ChildPostgresOptions, stopLeftPostgres } from './child-postgres.ts';
export { tableNamed, watchRows } from './copy-text.ts';
export {
  type ArchiveState,
  type DatabasePosition,
  type DatabaseServer,
  readArchiver,
  readAskedStandbys,
  readPosition,
  readServers,
  readVersion,
} from './database-state.ts';
export { openSqlJournal } from './journal.ts';
export { type LoadablePart, type LoadedRealm, type LoadOrder, loadRealm } from './load-realm.ts';
export { knowsMigration, migrate } from './migrate.ts';
export { isOutage } from './outage.ts';
export { connectToPrimary, type DatabaseAddress, type DatabaseHost } from './primary.ts';
export {
  asOnlyRestore,
  countOtherClients,
  type FoundRealms,
  findLivingNodes,
  findRealms,
  hasSchema,
  putSchemaAside,
} from './restore-place.ts';
export { type RealmSnapshot, readSnapshot, type SnapshotHeads, type SnapshotPart } from './snapshot.ts';
export { realmScript } from './sql-script.ts';
export { type FoundServer, findServer, promoteServer, untilOthersEnded } from './standby.ts';
export { SqlStore, type SqlStoreOptions } from './store.ts';
