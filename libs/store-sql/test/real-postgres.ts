import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scratchFolder } from '@sallyport/support';
import { afterAll } from 'vitest';
import { findPostgres } from '../src/binaries.ts';
import { ChildPostgres, type ChildPostgresOptions, migrate, SqlStore } from '../src/index.ts';

const LIB = fileURLToPath(new URL('..', import.meta.url));
/** Stopped databases with a schema in them, by what made them. */
const MODELS = join(LIB, '../../node_modules/.cache/databases');

type DatabasePlace = Pick<ChildPostgresOptions, 'folder' | 'passwordFile'>;

/** A real PostgreSQL with the schema in it, in a folder of its own; stopped and removed after the tests of the file. */
export async function startDatabase(
  options: Partial<ChildPostgresOptions> = {},
): Promise<{ server: ChildPostgres; store: SqlStore; folder: string }> {
  const folder = options.folder ?? scratchFolder();
  const place = { folder: join(folder, 'database'), passwordFile: join(folder, 'password'), ...options };
  await layDatabase(place);
  const server = await ChildPostgres.start(place);
  await migrate(server.address);
  const store = new SqlStore(server.address);
  afterAll(async () => {
    await store.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return { server, store, folder };
}

/** Lays a database with the schema in it where a server looks for its own: to make one takes six times as long as to copy it. */
export async function layDatabase({ folder, passwordFile }: DatabasePlace): Promise<void> {
  const model = await findModel();
  // The folder above stays passable, or the server would put the database elsewhere, with a link in its place.
  mkdirSync(dirname(folder), { recursive: true, mode: 0o755 });
  mkdirSync(folder, { mode: 0o700 });
  mkdirSync(dirname(passwordFile), { recursive: true, mode: 0o700 });
  copyCluster(model.folder, folder);
  copyFileSync(model.passwordFile, passwordFile);
}

/** The one that all are copies of. Two who make it at once make the same. */
async function findModel(): Promise<DatabasePlace> {
  const folder = join(MODELS, modelName());
  const model = placeIn(folder);
  if (existsSync(folder)) return model;
  const made = scratchFolder();
  const server = await ChildPostgres.start(placeIn(made));
  await migrate(server.address);
  await server.stop();
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  copyCluster(placeIn(made).folder, draft);
  copyFileSync(placeIn(made).passwordFile, placeIn(draft).passwordFile);
  rmSync(made, { recursive: true });
  if (!existsSync(folder)) renameSync(draft, folder);
  return model;
}

function placeIn(folder: string): DatabasePlace {
  return { folder, passwordFile: join(folder, 'password') };
}

/** Says what made a database: the program, how it is called, and the schema. */
function modelName(): string {
  const files = ['src/child-postgres.ts', ...globSync('migrations/*', { cwd: LIB }).sort()];
  const sum = createHash('sha256').update(`${findPostgres()} ${process.getuid?.()}`);
  for (const file of files) sum.update(file).update(readFileSync(join(LIB, file)));
  return sum.digest('hex').slice(0, 16);
}

function copyCluster(from: string, to: string): void {
  execFileSync('cp', ['-a', '--sparse=always', join(from, 'cluster'), join(to, 'cluster')]);
}
