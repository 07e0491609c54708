import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../source.ts';
import type { FarmHost, FarmPlan } from './plan.ts';

/** A file of a host: where it lies there, whose it is, and what is in it. */
export interface HostFile {
  readonly path: string;
  readonly owner: string;
  readonly mode: string;
  readonly text: string;
}

/** Files of a host, from the recipes of deploy/production. @throws Error for a recipe that asks for more than a plan has */
export function filesOf(plan: FarmPlan, host: FarmHost): HostFile[] {
  const files = [
    file('/etc/patroni/config.yml', 'postgres:postgres 0600', patroni(plan, host)),
    file('/etc/patroni/first-start.sh', 'root:root 0755', FIRST_START),
    file('/etc/default/etcd', 'root:root 0644', etcd(plan, host)),
    file('/etc/redis/redis.conf', 'redis:redis 0640', redis(plan, host)),
    file('/etc/redis/sentinel.conf', 'redis:redis 0640', sentinel(plan, host)),
    file('/etc/haproxy/haproxy.cfg', 'root:root 0644', haproxy(plan)),
    file('/etc/sallyport/security.env', 'root:root 0600', security(plan, host)),
    file('/etc/sallyport/proxy.env', 'root:root 0600', proxy(plan, host)),
  ];
  for (const { path, text } of files) {
    const left = text.split('\n').find((line) => !line.startsWith('#') && line.includes('CHANGE_'));
    if (left !== undefined) throw new Error(`${path}: nobody knows what to write into "${left}"`);
  }
  return files;
}

function file(path: string, ownerAndMode: string, text: string): HostFile {
  const [owner = '', mode = ''] = ownerAndMode.split(' ');
  return { path, owner, mode, text };
}

function recipe(name: string): string {
  return readFileSync(join(ROOT, 'deploy', 'production', name), 'utf8');
}

/** Puts values in the place of CHANGE_NAME. */
function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/CHANGE_([A-Z0-9_]+)/g, (left, name: string) => values[name] ?? left);
}

function common({ hosts }: FarmPlan, { name, address }: FarmHost): Record<string, string> {
  const numbered = hosts.flatMap((host, i) => [
    [`DB${i + 1}`, host.address],
    [`R${i + 1}`, host.address],
    [`PROXY${i + 1}`, host.address],
  ]);
  return { HOST_NAME: name, ADDRESS: address, FIRST_ADDRESS: hosts[0]!.address, ...Object.fromEntries(numbered) };
}

/** The role and the database of the gateway are made by whoever begins the database. */
const FIRST_START = `#!/bin/sh
set -eu
. /etc/sallyport/database-password
export SALLYPORT_DATABASE_PASSWORD
psql -v ON_ERROR_STOP=1 "$1" <<'END'
\\getenv password SALLYPORT_DATABASE_PASSWORD
create role sallyport login password :'password';
grant pg_monitor to sallyport;
create database sallyport owner sallyport;
END
`;

function patroni(plan: FarmPlan, host: FarmHost): string {
  const { superuser, replication, rewind, sallyport, patroni: rest } = plan.secrets;
  const [secrets, networks] = [
    { 1: superuser, 2: replication, 3: rewind, 4: sallyport, 5: rest },
    plan.hosts.map(({ address }) => `${address}/32`),
  ];
  const text = recipe('patroni.yml')
    .split('\n')
    .flatMap((line) =>
      line.includes('CHANGE_NETWORK/24')
        ? networks.map((network) => line.replace('CHANGE_NETWORK/24', network))
        : [line],
    )
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace('bootstrap:\n', 'bootstrap:\n  post_bootstrap: /etc/patroni/first-start.sh\n');
  return filled(text, { ...common(plan, host), ...secrets });
}

function etcd(plan: FarmPlan, host: FarmHost): string {
  // A member is known by its name, and reached by its address.
  const named = recipe('etcd.env').replace(/CHANGE_DB(\d)=/g, (_, i) => `${plan.hosts[Number(i) - 1]!.name}=`);
  return filled(named, common(plan, host));
}

function redis(plan: FarmPlan, host: FarmHost): string {
  const [first] = plan.hosts;
  const text = recipe('redis.conf').replace(/^# On all hosts.*\n/m, '');
  const follows = host === first ? text.replace(/^# replicaof .*\n/m, '') : text.replace('# replicaof', 'replicaof');
  const plain = { ...common(plan, host), PASSWORD: plan.secrets.redis };
  return `${filled(follows, plain)}${SERVICE_OF_DEBIAN}dir /var/lib/redis\n`;
}

function sentinel(plan: FarmPlan, host: FarmHost): string {
  const plain = { ...common(plan, host), PASSWORD: plan.secrets.redis };
  return `${filled(recipe('sentinel.conf'), plain)}${SERVICE_OF_DEBIAN}dir /var/lib/redis\n`;
}

/** The units of Debian start it in the foreground and wait until it says that it is up. */
const SERVICE_OF_DEBIAN = 'supervised systemd\ndaemonize no\n';

/** Devices only: operators come to a Security node by itself, which listens at the same port of the same host. */
function haproxy(plan: FarmPlan): string {
  const [devices = ''] = recipe('haproxy.cfg').split('frontend admin');
  return filled(devices, common(plan, plan.hosts[0]!));
}

/** Lines of a recipe without those that are not of this farm. */
function without(text: string, names: RegExp): string {
  return text
    .split('\n')
    .filter((line) => !names.test(line) && !line.startsWith('#'))
    .join('\n');
}

function security(plan: FarmPlan, host: FarmHost): string {
  const text = without(recipe('security.env'), /^SALLYPORT_(BALANCERS|BACKUP_\w+)=/);
  const urls = text.replaceAll('https://CHANGE_HOST_NAME', `https://${host.address}`);
  const values = {
    ...common(plan, host),
    ...{ 4: plan.secrets.sallyport, PASSWORD: plan.secrets.redis, ADMIN_NAME: host.address },
  };
  return `${filled(urls, values)}SALLYPORT_KEK_FILE=/etc/sallyport/kek.json\n`;
}

function proxy(plan: FarmPlan, host: FarmHost): string {
  return filled(without(recipe('proxy.env'), /^SALLYPORT_JOIN_TOKEN=/), common(plan, host));
}
