import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const FOLDER = new URL('../../../deploy/production/', import.meta.url);
const recipe = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');
/** A recipe without its comments. */
const linesOf = (name: string): string[] =>
  recipe(name)
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line));

test("Patroni's API changes nothing for strangers: certificates, a password, and known hosts", () => {
  const restapi = /^restapi:\n((?: .*\n)+)/m.exec(recipe('patroni.yml'))![1]!;
  for (const wanted of [
    /certfile: /,
    /keyfile: /,
    /cafile: /,
    /verify_client: required\n/,
    /authentication: \{username: \w+, password: CHANGE/,
    /allowlist: /,
  ])
    expect(restapi).toMatch(wanted);
});

test('databases, their elections and Redis are reached by TLS only, with a password or a certificate', () => {
  const hba = linesOf('patroni.yml').filter((line) => /^\s+- (local|host)/.test(line));
  expect(hba.length).toBeGreaterThan(0);
  for (const line of hba) expect(line).toMatch(/- (local|hostssl) .*scram-sha-256$/);
  for (const line of linesOf('etcd.env').filter((line) => /_URLS=|CLUSTER=/.test(line)))
    expect(line).not.toContain('http://');
  expect(linesOf('etcd.env')).toEqual(
    expect.arrayContaining(['ETCD_CLIENT_CERT_AUTH=true', 'ETCD_PEER_CLIENT_CERT_AUTH=true']),
  );
  for (const name of ['redis.conf', 'sentinel.conf']) {
    expect(linesOf(name)).toEqual(
      expect.arrayContaining(['port 0', 'tls-replication yes', 'requirepass CHANGE_PASSWORD']),
    );
  }
  expect(linesOf('security.env').join('\n')).toMatch(/SALLYPORT_REDIS=rediss\+sentinel:/);
});

test('no recipe has a password of its own: each is to be changed', () => {
  for (const name of readdirSync(FOLDER)) {
    const given = [
      ...recipe(name).matchAll(/(?:password: |PASSWORD=|requirepass |masterauth |sentinel-pass |JOIN_TOKEN=)(\S+)/g),
    ];
    for (const [, value] of given) expect(value, name).toMatch(/^'?CHANGE_/);
  }
});

test('services run unprivileged on a file system that they cannot write to', () => {
  // The repository belongs to the user whom Debian's pgBackRest serves it as.
  const users: Readonly<Record<string, string>> = { 'sallyport-archive.service': 'User=postgres' };
  for (const name of readdirSync(FOLDER).filter((one) => one.endsWith('.service'))) {
    const wanted = [users[name] ?? 'User=sallyport', 'NoNewPrivileges=true', 'ProtectSystem=strict', 'PrivateTmp=true'];
    expect(linesOf(name)).toEqual(expect.arrayContaining(wanted));
  }
});

test('a server is told to stop by itself, not with its database and the programs that work for it', () => {
  const services = readdirSync(FOLDER).filter((name) => name.endsWith('.service'));
  const lasting = services.filter((name) => linesOf(name).includes('Restart=always'));
  expect(lasting.length).toBeGreaterThan(3);
  for (const name of lasting) expect(linesOf(name), name).toContain('KillMode=mixed');
});

test('a server whose start ends again and again is started until it stands', () => {
  for (const name of ['sallyport-security.service', 'sallyport-proxy.service'])
    expect(linesOf(name)).toEqual(expect.arrayContaining(['Restart=always', 'StartLimitIntervalSec=0']));
});

test('services that make or verify backups may write to the folder that the docs give as a target', () => {
  for (const name of ['sallyport-security.service', 'sallyport-backup-verify.service'])
    expect(linesOf(name).join('\n')).toMatch(/^ReadWritePaths=(?:.* )?-\/mnt\/backup$/m);
});

test('metrics are shown on this host only', () => {
  for (const name of ['security.env', 'proxy.env'])
    expect(linesOf(name).join('\n')).toMatch(/^SALLYPORT_METRICS_LISTEN=127\.0\.0\.1:/m);
});

test('settings mean the same to a service and to a shell that reads them', () => {
  for (const name of ['security.env', 'proxy.env', 'etcd.env']) {
    const file = new URL(name, FOLDER).pathname;
    const shell = spawnSync('sh', ['-c', 'set -a; . "$1"; exec env', 'sh', file], { env: {}, encoding: 'utf8' });
    // As systemd.exec(5) reads EnvironmentFile=.
    const wanted = linesOf(name).map((line) => line.replace(/^(\w+)="(.*)"$/, '$1=$2'));
    expect(shell.stdout.split('\n'), shell.stderr).toEqual(expect.arrayContaining(wanted));
  }
});
