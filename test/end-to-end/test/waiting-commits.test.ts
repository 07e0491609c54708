import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { examineDatabase, type WaitLimits } from '@sallyport/doctor';
import * as api from '@sallyport/security-api/admin';
import { scratchFolder, startCommand } from '@sallyport/support';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { findPostgres } from '../../../libs/store-sql/src/binaries.ts';
import { startDatabase } from '../../../libs/store-sql/test/real-postgres.ts';
import { Gateway } from '../src/gateway.ts';

const LIMIT_MS = 120_000;
const PATIENT: WaitLimits = { connectMs: LIMIT_MS, answerMs: LIMIT_MS, holdMs: 1, askEveryMs: 1 };

const { server } = await startDatabase();
const { host, port, user, password, database } = server.address;
const gateway = await Gateway.start({
  environment: {
    SALLYPORT_DATABASE_HOSTS: `${host}:${port}`,
    SALLYPORT_DATABASE_USER: user,
    SALLYPORT_DATABASE_NAME: database,
    SALLYPORT_DATABASE_PASSWORD: password,
  },
});
const owner = new pg.Client(server.address);
await owner.connect();
const folder = scratchFolder();
afterAll(async () => {
  await owner.end();
  await gateway.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Whom commits wait for from now on. */
async function ask(names: string): Promise<void> {
  await owner.query(`alter system set synchronous_standby_names = '${names}'`);
  await owner.query('select pg_reload_conf()');
  const asked = async () => (await owner.query('show synchronous_standby_names')).rows;
  await expect.poll(asked, { timeout: LIMIT_MS }).toEqual([{ synchronous_standby_names: names }]);
}

/** How standbys follow, and what status says of them. */
async function standing() {
  const { degraded, databaseServers } = await gateway.operator.call(api.status.get);
  const said = degraded.filter((words) => words.includes('standby'));
  return { sync: databaseServers.slice(1).map(({ sync }) => sync), said };
}

async function examined(): Promise<readonly string[]> {
  const way = { ...server.address, hosts: [{ host, port }], from: 'Security', to: 'database' } as const;
  const found = await examineDatabase(way, PATIENT);
  return found.filter(({ check }) => check === 'standbys').map(({ words }) => words);
}

/** Takes the log of a primary as a standby does, and confirms what it has on its disk. */
const RECEIVER = join(findPostgres(), 'pg_receivewal');

test.skipIf(!existsSync(RECEIVER))(
  'a copy that was asked for is no standby that is missing; one that must confirm, and does not, is named',
  async () => {
    const place = `host=${host} port=${port} user=${user} application_name=site_b`;
    const environment = { PGPASSWORD: password };
    const receiver = startCommand(RECEIVER, ['--synchronous', '-D', folder, '-d', place], { environment });
    await expect.poll(standing, { timeout: LIMIT_MS }).toEqual({ sync: ['async'], said: [] });
    expect(await examined()).toEqual([]);

    await ask('ANY 1 (site_b)');
    await expect.poll(standing, { timeout: LIMIT_MS }).toEqual({ sync: ['quorum'], said: [] });
    expect(await examined()).toEqual([]);

    // Of two that must, one does: nothing is acknowledged, so nobody answers; the log and the doctor say why.
    await ask('FIRST 2 (site_b, db2)');
    await expect(standing()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
    const log = () => gateway.security.log;
    await expect.poll(log).toContain('the database answers and does not confirm: does a standby follow it?');
    expect(await examined()).toEqual(['1 of 2 standbys confirm commits: writes wait']);

    await ask('');
    await expect.poll(standing, { timeout: LIMIT_MS }).toEqual({ sync: ['async'], said: [] });
    await receiver.end();
  },
  4 * LIMIT_MS,
);
