import { constants } from 'node:crypto';

/** What TLS of a listener is: as Node's servers take it. */
export interface TlsOptions {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly ciphers: string;
  readonly ecdhCurve: string;
  readonly secureOptions: number;
}

/** What a listener speaks, by the names that OpenSSL and `sslscan` have for it; the best first. */
export interface TlsRule {
  readonly versions: readonly ('TLSv1.2' | 'TLSv1.3')[];
  readonly suites: readonly string[];
  readonly groups: readonly string[];
}

/** Suites of TLS 1.3: all of them seal and keep recorded traffic closed. */
const SUITES_13 = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'] as const;

/** Of TLS 1.2 the suites that do: without CBC, CCM, ARIA, or a key that the certificate's key opens. */
const SUITES_12 = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
] as const;

/** Key agreements: one that a quantum computer does not open either, then what everybody has. */
const GROUPS = ['X25519MLKEM768', 'x25519', 'secp256r1', 'secp384r1'] as const;

const OURS: TlsRule = { versions: ['TLSv1.3'], suites: SUITES_13, groups: GROUPS };
const OTHERS: TlsRule = { versions: ['TLSv1.2', 'TLSv1.3'], suites: [...SUITES_13, ...SUITES_12], groups: GROUPS };

/** A listener with TLS: of Security for Proxies, operators and directories, and of a Proxy for devices. */
export type TlsListener = 'Proxy' | 'admin' | 'directory' | 'public';

/**
 * What every listener with TLS speaks, and nothing else: `ours` where both ends are Sallyport's, `others` where the client is somebody
 * else's. `docs/security.md` shows it.
 */
export const TLS_RULES: Readonly<Record<TlsListener, TlsRule>> = {
  Proxy: OURS,
  admin: OURS,
  directory: OTHERS,
  public: OTHERS,
};

/** The rule of a listener as Node's servers take it. Nobody renegotiates: it costs the server more than the client. */
export function tlsOptionsOf(listener: TlsListener): TlsOptions {
  const { versions, suites, groups } = TLS_RULES[listener];
  return {
    minVersion: versions[0]!,
    ciphers: suites.join(':'),
    ecdhCurve: groups.join(':'),
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  };
}
