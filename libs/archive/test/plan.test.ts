import { expect, test } from 'vitest';
import {
  type ArchivePlan,
  archiveParameters,
  DEBIAN_PLACES,
  databaseConfig,
  passphraseConfig,
  repositoryConfig,
} from '../src/index.ts';

const host = (address: string) => ({
  address,
  port: 8_432,
  certificateName: address,
  folder: '/etc/pgbackrest',
  places: DEBIAN_PLACES,
});
const databases = ['db1', 'db2'].map((address) => ({
  ...host(address),
  dataFolder: '/data',
  socketFolder: '/run/postgresql',
  postgresPort: 5_432,
}));
const PLAN: ArchivePlan = {
  repository: { ...host('repo'), repositoryFolder: '/repository', keepDays: 14 },
  databases,
  tls: { ca: '/tls/ca.pem', certificate: '/tls/server.pem', key: '/tls/server.key' },
};
const PASSPHRASE = 'a-passphrase-of-a-repository';

test('the passphrase is in a file of its own, in no configuration, and on no command line', () => {
  expect(passphraseConfig(PASSPHRASE)).toBe(`[global]\nrepo1-cipher-pass=${PASSPHRASE}\n`);
  const all = [repositoryConfig(PLAN), ...databases.map((one) => databaseConfig(PLAN, one))].join('\n');
  expect(all).not.toContain('cipher-pass');
  expect(repositoryConfig(PLAN)).toContain('repo1-cipher-type=aes-256-cbc');
  expect(Object.values(archiveParameters(databases[0]!)).join(' ')).not.toMatch(/cipher|pass/);
});

test('a passphrase that a configuration file would read otherwise is refused', () => {
  for (const bad of ['', 'short', `${PASSPHRASE} with spaces`, `${PASSPHRASE}\nrepo1-path=/etc`])
    expect(() => passphraseConfig(bad)).toThrow(TypeError);
});

test('hosts reach each other by TLS only, and let in whom they know by certificate', () => {
  const repository = repositoryConfig(PLAN);
  for (const i of [1, 2]) expect(repository).toMatch(new RegExp(`^pg${i}-host-type=tls$`, 'm'));
  expect(repository.match(/^tls-server-auth=.*$/gm)).toEqual([
    'tls-server-auth=db1=sallyport',
    'tls-server-auth=db2=sallyport',
  ]);
  const database = databaseConfig(PLAN, databases[1]!);
  expect(database).toMatch(/^repo1-host-type=tls$/m);
  expect(database.match(/^tls-server-auth=.*$/gm)).toEqual(['tls-server-auth=repo=sallyport']);
});

test('a segment is sent after seconds, also when it is not full', () => {
  const { archive_timeout, archive_mode, archive_command } = archiveParameters(databases[0]!);
  expect(archive_mode).toBe('on');
  expect(Number.parseInt(archive_timeout!, 10)).toBeLessThan(4);
  expect(archive_command).toMatch(/archive-push %p$/);
});
