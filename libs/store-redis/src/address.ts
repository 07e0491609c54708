import { isLoopback, type ListenAddress, parseHostPort } from '@sallyport/settings';

/** One server of Redis or one Sentinel. */
export type RedisServer = ListenAddress;

/** How Redis is reached: one server, a primary that Sentinels name, or a Cluster. */
export interface RedisAddress {
  readonly mode: 'single' | 'sentinel' | 'cluster';
  readonly servers: readonly RedisServer[];
  /** Name of the primary at the Sentinels. */
  readonly name?: string;
  readonly tls: boolean;
}

const FORMS = 'expected rediss://host:port, rediss+sentinel://host:port,host:port/name or rediss+cluster://host:port';
const PATTERN = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/([^/]+)(?:\/([\w.-]+))?$/;

/**
 * Parses `rediss://host:port`, `rediss+sentinel://host:port,…/name` and `rediss+cluster://host:port,…`. Without TLS
 * (`redis…`) only this very machine may be named.
 * @throws TypeError that says what was expected; the text holds no secret.
 */
export function parseRedisUrl(text: string): RedisAddress {
  const [, scheme, mode = 'single', hosts = '', name] = PATTERN.exec(text) ?? [];
  if (!scheme) throw new TypeError(FORMS);
  const servers = hosts.split(',').map(parseServer);
  const tls = scheme === 'rediss';
  if (!tls && !servers.every(({ host }) => isLoopback(host)))
    throw new TypeError('Redis on another machine needs TLS: rediss://');
  if ((mode === 'sentinel') !== (name !== undefined)) throw new TypeError(FORMS);
  return { mode: mode as RedisAddress['mode'], servers, tls, ...(name === undefined ? {} : { name }) };
}

function parseServer(text: string): RedisServer {
  const server = parseHostPort(text);
  if (!server) throw new TypeError(FORMS);
  return server;
}
