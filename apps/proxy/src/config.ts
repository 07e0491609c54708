import {
  addressSet,
  integer,
  listenAddress,
  optionalListenAddress,
  optionalSecret,
  optionalText,
  text,
  type Values,
} from '@sallyport/settings';

/** Settings of a Proxy server, from the environment. */
export const SETTINGS = {
  SALLYPORT_DATA: text("folder of the Proxy's certificate"),
  SALLYPORT_LISTEN: listenAddress('where devices connect', { host: '127.0.0.1', port: 8440 }),
  SALLYPORT_HEALTH_LISTEN: listenAddress('health, for load balancers', { host: '127.0.0.1', port: 8441 }),
  SALLYPORT_METRICS_LISTEN: optionalListenAddress('where /metrics is read, without TLS; absent: nowhere'),
  SALLYPORT_JOIN_TOKEN: optionalSecret('token of the first start: sallyport proxy invite'),
  SALLYPORT_TLS_CERT: optionalText('PEM file: certificate for devices; absent when a load balancer ends TLS'),
  SALLYPORT_TLS_KEY: optionalText('PEM file: its key'),
  SALLYPORT_BALANCERS: addressSet(
    'load balancers in front that speak the PROXY protocol, version 2: addresses and networks',
  ),
  SALLYPORT_TRUSTED_HOPS: integer('load balancers in front that add X-Forwarded-For', { min: 0, max: 8, fallback: 0 }),
  SALLYPORT_MAX_SOCKETS: integer('sockets at once', { min: 1, max: 10_000_000, fallback: 50_000 }),
  SALLYPORT_SOCKETS_PER_ADDRESS: integer('sockets of one address without a channel at once', {
    min: 1,
    max: 10_000_000,
    fallback: 1_000,
  }),
  SALLYPORT_HELLOS_PER_ADDRESS: integer('HELLOs of one address that open nothing, at once; 5 % come back a second', {
    min: 1,
    max: 10_000_000,
    fallback: 1_000,
  }),
  SALLYPORT_OPENS_PER_SESSION: integer('channels that one session opens, at once; a sixtieth comes back a second', {
    min: 1,
    max: 10_000_000,
    fallback: 60,
  }),
  SALLYPORT_DRAIN_MS: integer('how long streams may finish after SIGTERM', {
    min: 0,
    max: 3_600_000,
    fallback: 10_000,
  }),
  SALLYPORT_UNREADY_MS: integer('after SIGTERM: how long a load balancer may take to notice', {
    min: 0,
    max: 600_000,
    fallback: 200,
  }),
  SALLYPORT_LOG_LEVEL: text('level of the log', 'info'),
};

/** Values of the settings. */
export type Config = Values<typeof SETTINGS>;
