/** Ports of the bench, all below the range that sockets of clients take theirs from. */
export const PORTS = {
  backend: 19_400,
  uploads: 19_401,
  auth: 19_402,
  nginxPlain: 19_410,
  nginxTls: 19_411,
  nginxAuth: 19_412,
  nginxCached: 19_413,
  nginxRsa: 19_414,
  haproxy: 19_415,
  replyFrom: 19_416,
  forward: 19_417,
  security: 19_443,
  admin: 19_444,
  directory: 19_445,
  /** The first Proxy; the next ones follow, each with its health port ten above. */
  proxy: 19_450,
} as const;
