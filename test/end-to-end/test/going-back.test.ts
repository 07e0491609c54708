import { execFile } from 'node:child_process';
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { freePort, sallyport } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { powerOff, whileFrozen } from '../src/frozen.ts';
import { Gateway } from '../src/gateway.ts';

const run = promisify(execFile);

const backend = await startBackend();
const gateway = await Gateway.start({ proxies: 1 });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

const data = join(gateway.folder, 'security-data');

/** As an operator on a Security host. */
function realm(
  environment: Readonly<Record<string, string>>,
  ...order: readonly string[]
): Promise<{ stdout: string; stderr: string }> {
  return sallyport(['--reason', 'end-to-end test', 'realm', ...order], '', environment);
}

/** With its owners: as root the database runs as a user of its own. */
async function copy(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to]);
}

/** A copy of the machine as a snapshot finds it: everything stands still, and files keep their numbers. */
async function snapshot(to: string): Promise<void> {
  await whileFrozen(gateway.security.pid, () => copy(data, to));
  rmSync(join(to, 'database', 'place.json'));
}

async function elsewhere(folder: string): Promise<Record<string, string>> {
  return {
    ...gateway.securityEnvironment,
    SALLYPORT_DATA: folder,
    SALLYPORT_PROXY_LISTEN: `127.0.0.1:${await freePort()}`,
    SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
  };
}

const disable = (name: string) => gateway.operator.call(api.users.disable, { params: { name } });

/** What is asked again while a machine that stood still for its copy finds that its database did not answer in time. */
async function answered(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      return void (await work());
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_STORE_UNAVAILABLE') throw error;
    }
  }
}

test('copies of a running machine lose nothing that was acknowledged, and never serve beside it as they are', async () => {
  const done = { users: [] as string[], out: [] as string[], codes: 0, events: 0 };
  let stopped = false;
  const load = (async () => {
    for (let i = 0; !stopped; i++) {
      await answered(() => gateway.addUser(`load${i}`));
      done.users.push(`load${i}`);
      await answered(() => gateway.link(`load${i}`));
      if (i % 2 === 0) continue;
      await answered(() => disable(`load${i}`));
      done.out.push(`load${i}`);
    }
  })().catch((error: unknown) => error);
  for (let round = 0; round < 2; round++) {
    await expect.poll(() => done.out.length).toBeGreaterThan(4 * (round + 1));
    const folder = join(gateway.folder, `copy${round}`);
    const before = await whileFrozen(gateway.security.pid, async () => {
      const acknowledged = { users: [...done.users], out: [...done.out] };
      await copy(data, folder);
      return acknowledged;
    });
    const environment = await elsewhere(folder);
    // Copied file by file: nothing shows that everything stood still.
    await expect(AppProcess.start('security', { environment })).rejects.toThrow('may be from different moments');
    expect((await realm(environment, 'new-epoch', '--old-database-is-off')).stderr).toContain('--copy-is-whole');
    const opened = await realm(environment, 'new-epoch', '--old-database-is-off', '--copy-is-whole');
    expect(opened.stderr).toBe('');
    const there = await AppProcess.start('security', { environment });
    const operator = gateway.operator.at(there.ready.adminUrl!);
    const users = await operator.call(api.users.list);
    const known = new Map(users.map(({ name, enabled }) => [name, enabled]));
    for (const name of before.users) expect(known.has(name), name).toBe(true);
    for (const name of before.out) expect(known.get(name), name).toBe(false);
    expect((await operator.call(api.status.get)).audit.intact).toBe(true);
    await operator.close();
    await there.end();
  }
  stopped = true;
  expect(await load).toBeUndefined();
});

test('a machine that went back an hour is noticed by what a Proxy saw, and serves nobody with what it was', async () => {
  await Promise.all([gateway.addUser('ada'), gateway.addUser('bob')]);
  const [ada, bob] = [await gateway.device('ada'), await gateway.device('bob')];
  for (const device of [ada, bob]) expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  const hourAgo = join(gateway.folder, 'hour-ago');
  await snapshot(hourAgo);
  expect((await disable('ada'))['inForce']).toBe(true);
  powerOff(gateway.security.pid);
  await gateway.security.end('SIGKILL');
  rmSync(data, { recursive: true });
  renameSync(hourAgo, data);

  const seen = backend.seen.size;
  // Nothing on the machine itself knows better. Perhaps the Proxy is there before it is ready.
  const start = () => AppProcess.start('security', { environment: gateway.securityEnvironment });
  const back = await start().catch((error: Error) => error);
  if (back instanceof AppProcess) await expect.poll(() => back.running).toBe(false);
  const said = () => (back instanceof AppProcess ? back.log : back.message);
  await expect.poll(said).toContain('the database is older than what Proxy p1');
  await expect(start()).rejects.toThrow('the database is older than what Proxy p1');
  await expect(ada.fetch('http://wiki.corp/echo')).rejects.toThrow();
  expect(backend.seen.size).toBe(seen);

  // Its journal went back, too: that is known as well.
  const refused = await realm(gateway.securityEnvironment, 'new-epoch', '--old-database-is-off');
  expect(refused.stderr).toContain('it went back, too, and counts as lost');
  const opened = await realm(gateway.securityEnvironment, 'new-epoch', '--old-database-is-off', '--journal-is-lost');
  expect(opened.stderr).toBe('');
  gateway.security = await start();
  await gateway.live(1);
  await gateway.operator.call(api.users.enable, { params: { name: 'bob' } });
  const again = await gateway.device('bob');
  expect((await again.fetch('http://wiki.corp/echo')).status).toBe(200);
  await expect(ada.fetch('http://wiki.corp/echo')).rejects.toThrow();
});
