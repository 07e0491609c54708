import { join } from 'node:path';
import { Daemon } from './daemon.ts';
import type { Host } from './host.ts';
import type { ClusterPlace } from './place.ts';

/**
 * The etcd that Patroni elects its leader with. Version 2 of its API on purpose: Patroni 3.0 with version 3 lost
 * acknowledged commits when a leader was paused for longer than its ttl.
 */
export function etcdOn(place: ClusterPlace, hosts: readonly Host[], index: number): Daemon {
  const host = hosts[index]!;
  const { client, peer } = place.ports(index).etcd;
  const url = (port: number): string => `http://${host.address}:${port}`;
  const members = hosts.map(({ name, address }, i) => `${name}=http://${address}:${place.ports(i).etcd.peer}`);
  const folder = join(place.hostFolder(host), 'etcd');
  const command = [
    'etcd',
    ...['--name', host.name, '--data-dir', folder, '--logger', 'zap', '--enable-v2=true'],
    ...['--listen-client-urls', url(client), '--advertise-client-urls', url(client)],
    ...['--listen-peer-urls', url(peer), '--initial-advertise-peer-urls', url(peer)],
    ...['--initial-cluster', members.join(), '--initial-cluster-state', 'new', '--initial-cluster-token', 'sallyport'],
    ...['--heartbeat-interval', '100', '--election-timeout', '1000'],
  ];
  return new Daemon({ ...place.daemon(`etcd on ${host.name}`, host, 'etcd'), command });
}

/** True when a member has found its leader. */
export async function etcdHealthy(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(500) });
  return ((await answer.json()) as { health: string }).health === 'true';
}
