export { embeddedPostgres, findPostgres } from './binaries.ts';
export { ChildPostgres, type ChildPostgresOptions } from './child-postgres.ts';
export { migrate } from './migrate.ts';
export { type DatabaseAddress, SqlStore } from './store.ts';
