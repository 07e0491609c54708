import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { findOperator, firstOperatorToken, redeemOperatorToken, sealRealm } from '@sallyport/access';
import { scratchFolder } from '@sallyport/support';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { KEYRING, realmOn } from '../../access/test/scene.ts';
import { ChildPostgres, migrate, SqlStore } from '../src/index.ts';

/** Migrations before operators had rows of their own. */
const BEFORE = 3;
const folder = scratchFolder();
const server = await ChildPostgres.start({ folder: join(folder, 'database'), passwordFile: join(folder, 'password') });
const store = new SqlStore(server.address);
afterAll(async () => {
  await store.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('an operator whose credential is of a version before comes in by a one-time token', async () => {
  const client = new pg.Client(server.address);
  await client.connect();
  const where = { dir: join(import.meta.dirname, '../migrations'), migrationsTable: 'schema_migrations' };
  await runner({ dbClient: client, ...where, direction: 'up', count: BEFORE, log: () => undefined });
  await client.query(
    `insert into "operators" ("realm", "id", "name", "token_hash", "one_time", "created_at", "expires_at")
     values ('main', 'o1', 'owner', $1, false, 1, $2)`,
    [Buffer.alloc(32), Date.now() + 86_400_000],
  );
  await client.end();
  await migrate(server.address);
  expect(await sealRealm(store.in('main'), KEYRING)).toBe(1);
  const access = await realmOn(store.in('main'));
  expect(await sealRealm(store.in('main'), KEYRING)).toBe(0);
  const oneTime = await firstOperatorToken(access, 'n1');
  const { token } = (await redeemOperatorToken(access, { token: oneTime!, name: 'owner' }))!;
  expect((await findOperator(access, token))?.operator.name).toBe('owner');
});
