import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { sallyport } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway } from '../src/gateway.ts';

const run = promisify(execFile);

const backend = await startBackend();
const gateway = await Gateway.start({ proxies: 1 });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

const database = join(gateway.folder, 'security-data', 'database');
const backup = join(gateway.folder, 'backup');

/** As an operator on the Security host: its settings come from the environment. */
function realm(...order: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return sallyport(['--reason', 'end-to-end test', 'realm', ...order], '', gateway.securityEnvironment);
}

/** With its owner: as root the database runs as a user of its own. */
async function copy(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to]);
}

async function startSecurity(): Promise<void> {
  gateway.security = await AppProcess.start('security', { environment: gateway.securityEnvironment });
}

function disable(name: string): Promise<Record<string, unknown>> {
  return gateway.operator.call(api.users.disable, { params: { name } });
}

test('a database that comes back from a backup: no node uses it unawares, and who was out stays out', async () => {
  await gateway.addUser('ada');
  await gateway.addUser('bob');
  const [ada, bob] = await Promise.all([gateway.device('ada'), gateway.device('bob')]);
  expect((await ada!.fetch('http://wiki.corp/echo')).status).toBe(200);
  await gateway.security.end('SIGTERM');
  await copy(database, backup);
  await startSecurity();
  await gateway.live(1);
  expect((await disable('ada'))['inForce']).toBe(true);
  await gateway.security.end('SIGTERM');

  rmSync(database, { recursive: true });
  await copy(backup, database);
  await expect(startSecurity()).rejects.toThrow();
  // What does not start leaves no database of its own behind.
  expect(existsSync(join(database, 'cluster', 'postmaster.pid'))).toBe(false);
  expect((await realm('new-epoch')).stderr).toContain('--old-database-is-off');
  const { stdout, stderr } = await realm('new-epoch', '--old-database-is-off', '--actor', 'olga');
  expect(stderr).toBe('');
  // That of the user, and that of her device.
  expect(stdout).toContain('done: 2 revocations that the backup did not know are in the log again');
  expect(stdout).toContain('take a backup now');

  await startSecurity();
  await gateway.live(1);
  const users = await gateway.operator.call(api.users.list);
  expect(users.map(({ name, enabled }) => [name, enabled])).toEqual(
    expect.arrayContaining([
      ['ada', false],
      ['bob', true],
    ]),
  );
  // Nothing that was open before goes on, and what is revoked now is in force when it says so.
  expect(await gateway.operator.call(api.sessions.list)).toEqual([]);
  const view = await gateway.operator.call(api.revocations.put, {
    params: { id: randomUUID() },
    body: { kind: 'before', subject: 'now', reason: 'end-to-end test' },
  });
  expect(view.inForce).toBe(true);
  const seen = backend.seen.size;
  for (const device of [ada!, bob!]) await expect(device.fetch('http://wiki.corp/echo')).rejects.toThrow();
  expect(backend.seen.size).toBe(seen);
  expect((await (await gateway.device('bob')).fetch('http://wiki.corp/echo')).status).toBe(200);
});

test('a closed database gives nothing any more, says so, and its node ends itself', async () => {
  const { log, degraded } = (await gateway.operator.call(api.status.get)) as {
    log: { epoch: string; journal: Record<string, unknown> };
    degraded: string[];
  };
  expect(log.journal).toMatchObject({ ours: true, claimedBy: log.epoch });
  expect(degraded.join()).not.toContain('journal');
  // While the server runs: its node learns of it from the database.
  expect((await realm('close')).stdout).toContain('is closed');
  await expect.poll(() => gateway.security.running).toBe(false);
  await expect.poll(() => gateway.security.log).toContain('this database is closed: another one takes its place');
  await expect(startSecurity()).rejects.toThrow();
  await realm('new-epoch', '--old-database-is-closed');
  await startSecurity();
  await gateway.live(1);
});
