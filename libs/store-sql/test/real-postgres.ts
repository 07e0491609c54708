import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { afterAll } from 'vitest';
import { ChildPostgres, type ChildPostgresOptions, migrate, SqlStore } from '../src/index.ts';

/** A real PostgreSQL with the schema in it, in a folder of its own; stopped and removed after the tests of the file. */
export async function startDatabase(
  options: Partial<ChildPostgresOptions> = {},
): Promise<{ server: ChildPostgres; store: SqlStore; folder: string }> {
  const folder = options.folder ?? scratchFolder();
  const server = await ChildPostgres.start({
    folder: join(folder, 'database'),
    passwordFile: join(folder, 'password'),
    ...options,
  });
  await migrate(server.address);
  const store = new SqlStore(server.address);
  afterAll(async () => {
    await store.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return { server, store, folder };
}
