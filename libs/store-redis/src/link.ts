import { AbstractConnector, Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress } from './address.ts';

/** What besides the address is needed to connect. */
export interface RedisCredentials {
  readonly password?: string;
  /** PEM of the CA of the servers, for TLS. */
  readonly ca?: string;
}

/** A command may take so long, ms: what Redis holds is never worth a wait. */
const COMMAND_TIMEOUT_MS = 300;
const CONNECT_TIMEOUT_MS = 1_000;
const RETRY_MS = 200;
/** After a failure Redis is left alone for so long, ms, so that no request waits for it twice. */
const PAUSE_MS = 1_000;

interface Connector {
  connecting: boolean;
  readonly stream?: { readonly destroyed: boolean; readonly writableEnded: boolean };
}

const { disconnect } = AbstractConnector.prototype;
/**
 * While a Cluster is gone ioredis disconnects its last subscriber anew at each try. Each time added a listener to a socket that was
 * ended long ago, until Node warned of a leak.
 */
AbstractConnector.prototype.disconnect = function (this: AbstractConnector): void {
  // Its fields are protected.
  const connector = this as unknown as Connector;
  if (connector.stream?.destroyed || connector.stream?.writableEnded) connector.connecting = false;
  else disconnect.call(this);
};

const { subscribe } = Redis.prototype;
/**
 * Once a connection is ready again ioredis subscribes anew by itself, ours and those to Sentinels, and nobody hears of it when no answer
 * comes in time: the rejection that nobody had caught ended the server. Whoever waits for one still hears of it.
 */
Redis.prototype.subscribe = function (this: Redis, ...channels: unknown[]): Promise<unknown> {
  // Nobody listens to the connections on which it follows Sentinels: each error of theirs would be printed, for as long as one is away.
  if (this.listenerCount('error') === 0) this.on('error', () => undefined);
  const subscribed = Reflect.apply(subscribe, this, channels) as Promise<unknown>;
  subscribed.catch(() => undefined);
  return subscribed;
};

/** Either kind of client; both have the commands that we use. */
export type RedisClient = Redis | Cluster;

/**
 * Connections to Redis, made so that an outage is found out at once and costs nobody a wait: no queue while offline, no
 * repeated commands, short timeouts.
 */
export class RedisLink {
  readonly commands: RedisClient;
  readonly subscriber: RedisClient;
  #failedAt = Number.NEGATIVE_INFINITY;

  /** A command that takes longer than `commandMs` is given up. */
  constructor(address: RedisAddress, credentials: RedisCredentials, commandMs: number = COMMAND_TIMEOUT_MS) {
    this.commands = connect(address, credentials, commandMs);
    this.subscriber = connect(address, credentials, commandMs);
    for (const client of [this.commands, this.subscriber]) client.on('error', () => undefined);
  }

  /** True when the last command went well or a second has passed since one failed. */
  get usable(): boolean {
    return this.commands.status === 'ready' && performance.now() - this.#failedAt > PAUSE_MS;
  }

  /** Runs a command; undefined when Redis does not answer. */
  async attempt<T>(command: (client: RedisClient) => Promise<T>): Promise<T | undefined> {
    if (!this.usable) return undefined;
    try {
      return await command(this.commands);
    } catch {
      this.#failedAt = performance.now();
      return undefined;
    }
  }

  /**
   * Asks anew who is the primary: a frozen server keeps its connections. A client that is just connecting is left alone,
   * because it would give up for good; one that gave up begins again.
   */
  renew(): void {
    for (const client of [this.commands, this.subscriber]) {
      if (client.status === 'ready') client.disconnect(true);
      else if (client.status === 'end') client.connect().catch(() => undefined);
    }
  }

  /** The server that takes writes now, for the status page. */
  get server(): string {
    // The driver's types do not name its stream.
    const stream = (this.commands as unknown as { stream?: { remoteAddress?: string; remotePort?: number } }).stream;
    return stream?.remoteAddress ? `${stream.remoteAddress}:${stream.remotePort}` : '';
  }

  async close(): Promise<void> {
    this.commands.disconnect();
    this.subscriber.disconnect();
  }
}

function connect(address: RedisAddress, { password, ca }: RedisCredentials, commandMs: number): RedisClient {
  const tls = address.tls ? { ...(ca === undefined ? {} : { ca }), rejectUnauthorized: true } : undefined;
  const options = {
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: commandMs,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
  } satisfies RedisOptions;
  if (address.mode === 'cluster') {
    const { enableOfflineQueue: _, ...redisOptions } = options;
    return new Cluster([...address.servers], {
      redisOptions,
      enableOfflineQueue: false,
      clusterRetryStrategy: () => RETRY_MS,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      slotsRefreshInterval: CONNECT_TIMEOUT_MS,
      // A bare IP address of a node carries no name that a certificate could be checked against but the address itself.
      dnsLookup: (host, callback) => callback(null, host),
    });
  }
  if (address.mode === 'single')
    return new Redis({ ...options, ...address.servers[0]!, retryStrategy: () => RETRY_MS });
  return new Redis({
    ...options,
    sentinels: [...address.servers],
    name: address.name!,
    ...(password === undefined ? {} : { sentinelPassword: password }),
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: tls } : {}),
    retryStrategy: () => RETRY_MS,
    sentinelRetryStrategy: () => RETRY_MS,
    sentinelReconnectStrategy: () => RETRY_MS,
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
    failoverDetector: true,
  });
}
