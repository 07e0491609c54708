import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { certificateEndsAt, loadIdentity, NodeList, renew, SecurityClient } from '@sallyport/security-client';
import { ChildPostgres } from '@sallyport/store-sql';
import { scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { Gateway } from '../src/gateway.ts';

const folder = scratchFolder();
const database = await ChildPostgres.start({ folder: join(folder, 'db'), passwordFile: join(folder, 'password') });
const { host, port, user, password, database: name } = database.address;
const gateway = await Gateway.start({
  environment: {
    SALLYPORT_DATABASE_HOSTS: `${host}:${port}`,
    SALLYPORT_DATABASE_USER: user,
    SALLYPORT_DATABASE_NAME: name,
    SALLYPORT_DATABASE_PASSWORD: password,
  },
});
afterAll(async () => {
  await gateway.stop();
  await database.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('Security runs on an external PostgreSQL, and starts none of its own', async () => {
  const status = await gateway.operator.call(api.status.get);
  expect(status['database']).toContain('external at');
  expect(existsSync(join(gateway.folder, 'security-data', 'database'))).toBe(false);
  await gateway.addUser('ada');
  await gateway.restartSecurity();
  expect(await gateway.operator.call(api.users.list)).toMatchObject([{ name: 'ada' }]);
});

test('a Proxy renews its certificate with the old one, for a new key', async () => {
  const identity = loadIdentity(join(gateway.folder, 'p1', 'identity.json'))!;
  const renewed = await renew(identity);
  expect(renewed.key).not.toBe(identity.key);
  expect(certificateEndsAt(renewed)).toBeGreaterThan(Date.now() + 24 * 3_600_000);
  const client = new SecurityClient(renewed, new NodeList(renewed));
  expect((await client.siteMap()).siteMap).toMatch(/^eyJ/);
  await client.close();
});

test('wrong settings are all named at once, and never by value', async () => {
  const start = AppProcess.start('security', {
    environment: { SALLYPORT_LEASE_MS: '7-secret', SALLYPORT_PROXY_LISTEN: 'nowhere' },
  });
  await expect(start).rejects.toThrow(
    /SALLYPORT_DATA is missing[\s\S]*SALLYPORT_PROXY_LISTEN[\s\S]*SALLYPORT_LEASE_MS/,
  );
  await expect(start).rejects.not.toThrow(/7-secret/);
});
