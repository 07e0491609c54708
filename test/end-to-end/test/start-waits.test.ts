import { rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { AppProcess } from '@sallyport/local-cluster';
import { ChildPostgres, type DatabaseAddress } from '@sallyport/store-sql';
import { freePort, scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { layDatabase } from '../../../libs/store-sql/test/real-postgres.ts';

const LIMIT_MS = 120_000;
/** What a start asks for in its steps: the realm, its keys of both kinds, the leases, the operators. */
const STEPS = ['"realms"', '"kek_holders"', '"keys"', '"leases"', '"operators"', 'commit'];

const folder = scratchFolder();
const place = { folder: join(folder, 'database'), passwordFile: join(folder, 'password') };
await layDatabase(place);
const database = await ChildPostgres.start(place);
afterAll(async () => {
  await database.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A way to a database that breaks each connection off on which one of these texts is asked for the first time. */
async function openBreakingWay(port: number, { host, port: number }: DatabaseAddress, texts: Set<string>) {
  const way = createServer((socket) => {
    const there = connect(join(host, `.s.PGSQL.${number}`));
    for (const end of [socket, there]) end.on('error', () => undefined);
    socket.on('close', () => there.destroy());
    there.on('close', () => socket.destroy());
    there.pipe(socket);
    socket.on('data', (data) => {
      const text = [...texts].find((one) => data.includes(one));
      if (text === undefined) return void there.write(data);
      texts.delete(text);
      socket.destroy();
    });
  });
  await new Promise<void>((listening) => way.listen(port, '127.0.0.1', listening));
  return way;
}

test('a start waits for its database in each of its steps, and says what it waits for', async () => {
  const { address } = database;
  const [port, watched] = [await freePort(), await freePort()];
  const environment = {
    SALLYPORT_DATA: join(folder, 'data'),
    SALLYPORT_PROXY_LISTEN: `127.0.0.1:${await freePort()}`,
    SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
    SALLYPORT_METRICS_LISTEN: `127.0.0.1:${watched}`,
    SALLYPORT_DATABASE_HOSTS: `127.0.0.1:${port}`,
    SALLYPORT_DATABASE_USER: address.user,
    SALLYPORT_DATABASE_NAME: address.database,
    SALLYPORT_DATABASE_PASSWORD: address.password,
  };
  const ask = (path: string) => fetch(`http://127.0.0.1:${watched}${path}`).catch(() => undefined);
  const starting = AppProcess.start('security', { environment });
  starting.catch(() => undefined);
  const waitsFor = async () => ((await (await ask('/readyz'))?.json()) as { waitsFor?: string } | undefined)?.waitsFor;
  await expect.poll(waitsFor, { timeout: LIMIT_MS }).toMatch(/no primary .*: connect ECONNREFUSED/);
  expect((await ask('/readyz'))!.status).toBe(404);
  // It lives, so that nobody starts it again for that.
  expect((await ask('/healthz'))!.status).toBe(200);
  const texts = new Set(STEPS);
  const way = await openBreakingWay(port, address, texts);
  const security = await starting;
  expect([...texts]).toEqual([]);
  expect((await ask('/readyz'))!.status).toBe(200);
  expect(security.log.match(/the start waits for a database/g)!.length).toBeGreaterThan(3);
  expect(security.log).toContain('the database answers: the start goes on');
  await security.end();
  way.close();
}, 240_000);
