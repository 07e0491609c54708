import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judgeEnvironment, type KnownServer, parseEnvironmentFile } from '@sallyport/lint';
import { TestAuthority } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { filesOf } from '../src/farm/files.ts';
import { planFarm } from '../src/farm/plan.ts';
import { finishScript, installScript, joinScript } from '../src/farm/scripts.ts';
import { ROOT } from '../src/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-farm-'));
afterAll(() => rmSync(folder, { recursive: true }));
const HOSTS = ['a=10.0.0.1', 'b=10.0.0.2', 'c=10.0.1.3'];
const plan = planFarm('gate.example.com', HOSTS);
const textOf = (host: number, path: string) => filesOf(plan, plan.hosts[host]!).find((one) => one.path === path)!.text;
const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`], { env: PATH }).status === 0;
const PATH = { PATH: `${process.env['PATH']}:/usr/sbin` };

test('settings of each host are right by lint, and secrets are the same on all of them and in no file that others read', async () => {
  for (const i of [0, 1, 2])
    for (const name of ['security', 'proxy'] as const) {
      const { SETTINGS } = (await import(join(ROOT, 'apps', name, 'src/config.ts'))) as {
        SETTINGS: KnownServer['settings'];
      };
      const variables = parseEnvironmentFile(textOf(i, `/etc/sallyport/${name}.env`));
      const source = { where: name, variables, mode: 0o600, place: 'host' as const };
      expect(judgeEnvironment(source, { name, settings: SETTINGS })).toEqual([]);
    }
  for (const { path, mode, text } of filesOf(plan, plan.hosts[1]!)) {
    const secret = Object.values(plan.secrets).find((one) => text.includes(one));
    if (secret !== undefined) expect(`${path} ${mode}`).toMatch(/ 06[04]0$/);
  }
  expect(new Set(Object.values(planFarm('gate.example.com', HOSTS).secrets)).has(plan.secrets.redis)).toBe(false);
});

test('hosts know each other: members of etcd by the names they have, standbys of Redis by the first, databases by address', () => {
  for (const [i, { name }] of plan.hosts.entries()) {
    const etcd = textOf(i, '/etc/default/etcd');
    const [, own] = /^ETCD_NAME=(.+)$/m.exec(etcd)!;
    expect(own).toBe(name);
    expect(etcd).toContain(
      'ETCD_INITIAL_CLUSTER=a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.1.3:2380\n',
    );
    expect(textOf(i, '/etc/redis/redis.conf').includes('\nreplicaof 10.0.0.1 6379\n')).toBe(i > 0);
    expect(textOf(i, '/etc/redis/sentinel.conf')).toContain('sentinel monitor sallyport 10.0.0.1 6379 2');
    const patroni = parse(textOf(i, '/etc/patroni/config.yml'));
    expect(patroni.bootstrap.post_bootstrap).toBe('/etc/patroni/first-start.sh');
    expect(patroni.postgresql.pg_hba).toContain('hostssl all all 10.0.0.2/32 scram-sha-256');
    expect(patroni.postgresql.pg_hba).toContain('hostssl replication replicator 10.0.1.3/32 scram-sha-256');
    expect(textOf(i, '/etc/sallyport/security.env')).toContain(`SALLYPORT_NODE=${name}\n`);
  }
});

test.each([
  ['localhost', HOSTS, /no host name/],
  ['gate.example.com', HOSTS.slice(1), /needs three hosts/],
  ['gate.example.com', ['a=10.0.0.1', 'b=10.0.0.1', 'c=10.0.0.3'], /needs three hosts/],
  ['gate.example.com', ['a', 'b', 'c'], /a host is name=address/],
  ['gate.example.com', ['a=fd00::1', 'b=10.0.0.2', 'c=10.0.0.3'], /a host is name=address/],
])('refused: %s %j', (gate, hosts, words) => {
  expect(() => planFarm(gate, hosts)).toThrow(words);
});

test('scripts are sound for a POSIX shell, and say nothing of a secret', () => {
  const files = filesOf(plan, plan.hosts[0]!);
  const first = files.find(({ path }) => path.endsWith('first-start.sh'))!.text;
  for (const text of [installScript(plan.hosts[0]!, files), finishScript(plan), joinScript(), first]) {
    const file = join(folder, 'script.sh');
    writeFileSync(file, text);
    execFileSync('sh', ['-n', file]);
    for (const secret of Object.values(plan.secrets)) expect(text).not.toContain(secret);
  }
});

test.skipIf(!has('haproxy'))('the load balancer takes its file', async () => {
  const { certificate, key } = await (await TestAuthority.create('gate')).issue({ names: [plan.gate] });
  const [devices, file] = [join(folder, 'devices.pem'), join(folder, 'haproxy.cfg')];
  writeFileSync(devices, certificate + key);
  writeFileSync(file, textOf(2, '/etc/haproxy/haproxy.cfg').replace('/etc/sallyport/tls/devices.pem', devices));
  const { status, stderr } = spawnSync('haproxy', ['-c', '-f', file], { env: PATH, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
});
