import { join } from 'node:path';
import { Daemon } from './daemon.ts';
import { type Host, privateFile } from './host.ts';
import type { ClusterPlace } from './place.ts';

/** Name under which the Sentinels know the primary. */
export const REDIS_NAME = 'sallyport';
const QUORUM = 2;

/** TLS only, for clients, replicas and Sentinels. */
function tlsLines({ tls }: ClusterPlace, port: number): string[] {
  return [
    'port 0',
    `tls-port ${port}`,
    `tls-cert-file ${tls.certificate}`,
    `tls-key-file ${tls.key}`,
    `tls-ca-cert-file ${tls.ca}`,
    'tls-auth-clients no',
    'tls-replication yes',
  ];
}

/** A Redis that keeps nothing on disk: what is in it may vanish. The first host begins as primary. */
export function redisOn(place: ClusterPlace, hosts: readonly Host[], index: number): Daemon {
  const host = hosts[index]!;
  const folder = place.hostFolder(host);
  const password = place.secrets.redis;
  const lines = [
    ...tlsLines(place, place.ports(index).redis),
    `bind ${host.address}`,
    `dir ${folder}`,
    'save ""',
    'appendonly no',
    `requirepass ${password}`,
    `masterauth ${password}`,
    'repl-diskless-sync-delay 0',
    'repl-ping-replica-period 1',
    'repl-timeout 5',
    ...(index === 0 ? [] : [`replicaof ${hosts[0]!.address} ${place.ports(0).redis}`]),
  ];
  const config = privateFile(join(folder, 'redis.conf'), `${lines.join('\n')}\n`, place.user);
  return new Daemon({ ...place.daemon(`Redis on ${host.name}`, host, 'redis'), command: ['redis-server', config] });
}

/** The Sentinel of a host. */
export function sentinelOn(place: ClusterPlace, hosts: readonly Host[], index: number): Daemon {
  const host = hosts[index]!;
  const password = place.secrets.redis;
  const lines = [
    ...tlsLines(place, place.ports(index).sentinel),
    `bind ${host.address}`,
    `dir ${place.hostFolder(host)}`,
    `requirepass ${password}`,
    `sentinel sentinel-pass ${password}`,
    `sentinel monitor ${REDIS_NAME} ${hosts[0]!.address} ${place.ports(0).redis} ${QUORUM}`,
    `sentinel auth-pass ${REDIS_NAME} ${password}`,
    `sentinel down-after-milliseconds ${REDIS_NAME} 1000`,
    `sentinel failover-timeout ${REDIS_NAME} 5000`,
    `sentinel parallel-syncs ${REDIS_NAME} 2`,
  ];
  const config = privateFile(join(place.hostFolder(host), 'sentinel.conf'), `${lines.join('\n')}\n`, place.user);
  const command = ['redis-server', config, '--sentinel'];
  return new Daemon({ ...place.daemon(`Sentinel on ${host.name}`, host, 'sentinel'), command });
}
