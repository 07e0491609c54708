import { join } from 'node:path';
import { Daemon } from './daemon.ts';
import { type Host, privateFile } from './host.ts';
import type { ClusterPlace } from './place.ts';

/** A server behind the load balancer. */
export interface Target {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Port of `/readyz`; the same one unless given. */
  readonly healthPort?: number;
}

/** What the load balancer does. */
export interface Balancing {
  readonly host: Host;
  /** Where devices connect, and the Proxies behind it. */
  readonly devices: { readonly port: number; readonly proxies: readonly Target[] };
  /** Where operators connect, and the Security nodes behind it. */
  readonly admin: { readonly port: number; readonly nodes: readonly Target[] };
}

/**
 * HAProxy in front of Proxies and of the admin API. A server that answers `/readyz` with 404 gets no new connections and
 * keeps its open ones; nothing is sent twice but what certainly never arrived.
 */
function haproxyConfig({ host, devices, admin }: Balancing): string {
  const server = ({ name, address, port, healthPort = port }: Target): string =>
    `  server ${name} ${address}:${port} check port ${healthPort}`;
  return `defaults
  timeout connect 500ms
  timeout client 60s
  timeout server 60s
  timeout tunnel 12h
  timeout http-request 5s
  timeout check 500ms
  option httpchk GET /readyz
  http-check disable-on-404
  http-check expect status 200
  default-server inter 500ms fastinter 100ms downinter 200ms fall 2 rise 1 on-marked-down shutdown-sessions
  retries 3
  option redispatch 1
frontend devices
  mode http
  bind ${host.address}:${devices.port}
  option forwardfor
  default_backend proxies
backend proxies
  mode http
  balance leastconn
  retry-on conn-failure
${devices.proxies.map(server).join('\n')}
frontend admin
  mode tcp
  bind ${host.address}:${admin.port}
  default_backend nodes
backend nodes
  mode tcp
  balance first
  default-server check-ssl verify none
${admin.nodes.map(server).join('\n')}
`;
}

/** Runs HAProxy on a host. */
export function haproxyOn(place: ClusterPlace, balancing: Balancing): Daemon {
  const { host } = balancing;
  const config = privateFile(join(place.hostFolder(host), 'haproxy.cfg'), haproxyConfig(balancing), place.user);
  return new Daemon({ ...place.daemon('HAProxy', host, 'haproxy'), command: ['haproxy', '-db', '-f', config] });
}
