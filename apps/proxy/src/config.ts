import {
  addressSet,
  integer,
  list,
  listenAddress,
  optionalListenAddress,
  optionalSecret,
  optionalText,
  text,
  type Values,
} from '@sallyport/settings';

/** Settings of a Proxy server, from the environment. `npm run settings` writes their table into docs/operator.md. */
export const SETTINGS = {
  SALLYPORT_DATA: text("folder of the Proxy's certificate"),
  SALLYPORT_JOIN_TOKEN: optionalSecret('token of the first start: `sallyport proxy invite <name> --site <site>`'),
  SALLYPORT_JOIN_ACCOUNT_TOKEN: optionalText(
    'in a pod: file with the token of its service account, instead of a join token; with `SALLYPORT_SECURITY_URLS` and `SALLYPORT_SECURITY_CA`',
  ),
  SALLYPORT_SECURITY_URLS: list('of a pod: URLs of Security nodes to join at, like `https://security:8443`', []),
  SALLYPORT_SECURITY_CA: optionalText("of a pod: PEM file with Security's CA, `security/ca.pem` of a node"),
  SALLYPORT_LISTEN: listenAddress('where devices connect', { host: '127.0.0.1', port: 8440 }),
  SALLYPORT_HEALTH_LISTEN: listenAddress('`/readyz` and `/healthz`, for load balancers', {
    host: '127.0.0.1',
    port: 8441,
  }),
  SALLYPORT_METRICS_LISTEN: optionalListenAddress(
    'where `/metrics` is read, and from the beginning of a start `/healthz` and `/readyz`, which says what it waits for; without TLS: an address that only your Prometheus reaches; absent: nowhere',
  ),
  SALLYPORT_TLS_CERT: optionalText('PEM file: certificate for devices; absent: a load balancer ends TLS'),
  SALLYPORT_TLS_KEY: optionalText('PEM file: key of that certificate'),
  SALLYPORT_TLS_TRUSTED: optionalText(
    'PEM file: CAs that devices trust, and no certificate of another one is taken; absent: those of this system, and whose the one before is',
  ),
  SALLYPORT_ACME_DIRECTORY: optionalText(
    'instead of these files: URL of the directory of an authority that speaks ACME, like `https://acme-v02.api.letsencrypt.org/directory`; naming it agrees to its terms',
  ),
  SALLYPORT_ACME_NAMES: list('of ACME: host names in the certificate, those of the origins of the site', []),
  SALLYPORT_ACME_LISTEN: optionalListenAddress(
    'of ACME: where challenges (http-01) are answered, without TLS; port 80 of each name must lead here',
  ),
  SALLYPORT_ACME_CONTACT: optionalText('of ACME: mail address that the authority writes to'),
  SALLYPORT_ACME_CA: optionalText('of ACME: PEM file with the CA of a private authority; absent: those of this system'),
  SALLYPORT_ACME_ACCOUNT_KEY: optionalText(
    'of ACME: PEM file with the key of the account, the same at all Proxies of a name, so that each answers for all; absent: one of its own',
  ),
  SALLYPORT_ACME_EAB_KID: optionalText(
    'of ACME: identifier of the account binding (EAB) that an authority gives which knows its customers, like ZeroSSL, Sectigo or Google',
  ),
  SALLYPORT_ACME_EAB_KEY: optionalSecret('of ACME: key of that account binding, base64url'),
  SALLYPORT_BALANCERS: addressSet(
    'load balancers in front that speak the PROXY protocol, version 2, like `10.1.2.3,10.9.0.0/24`: limits count the ' +
      'address that they name, and whatever comes from them without that header is closed',
  ),
  SALLYPORT_TRUSTED_HOPS: integer('load balancers in front that add X-Forwarded-For', { min: 0, max: 8, fallback: 0 }),
  SALLYPORT_COUNTRIES: optionalText(
    'MaxMind DB file (`.mmdb`) of countries by address, for policies with `--country`: read again when it changes; absent: no country is ' +
      'known, and such policies open nothing',
  ),
  SALLYPORT_MAX_SOCKETS: integer('sockets at once; half of them is kept for those with a channel', {
    min: 1,
    max: 10_000_000,
    fallback: 50_000,
  }),
  SALLYPORT_SOCKETS_PER_ADDRESS: integer(
    'sockets of one address (IPv6: a /64) without a channel at once; never more than an eighth of all',
    { min: 1, max: 10_000_000, fallback: 1_000 },
  ),
  SALLYPORT_HELLOS_PER_ADDRESS: integer(
    'HELLOs of one address that open nothing, at once; 5 % of them come back each second',
    { min: 1, max: 10_000_000, fallback: 1_000 },
  ),
  SALLYPORT_OPENS_PER_SESSION: integer('channels that one session opens, at once; a sixtieth comes back each second', {
    min: 1,
    max: 10_000_000,
    fallback: 60,
  }),
  SALLYPORT_DRAIN_MS: integer('how long streams may finish after SIGTERM', {
    min: 0,
    max: 3_600_000,
    fallback: 10_000,
  }),
  SALLYPORT_UNREADY_MS: integer(
    'how long `/readyz` says 404 after SIGTERM before the listener closes: two checks of your load balancer',
    { min: 0, max: 600_000, fallback: 200 },
  ),
  SALLYPORT_LOG_LEVEL: text('level of the log: `trace`, `debug`, `info`, `warn`, `error` or `fatal`', 'info'),
};

/** Values of the settings. */
export type Config = Values<typeof SETTINGS>;
