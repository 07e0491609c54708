import type { TLSSocket } from 'node:tls';
import { findProxy } from '@sallyport/access';
import type { RealmContext } from './realm-context.ts';

/** Who a TLS connection belongs to: a Proxy with a certificate of our CA that was not revoked. */
export type ProxyIdentity = (
  socket: TLSSocket,
) => Promise<{ readonly name: string; readonly site: string } | undefined>;

/** How long a lookup is kept, ms: every request would ask the database otherwise. */
const KEEP_MS = 1_000;

/** Identifies Proxies by their certificate, and looks their row up at most once a second. */
export function proxyIdentity({ access, monotonicMs }: Pick<RealmContext, 'access' | 'monotonicMs'>): ProxyIdentity {
  const known = new Map<string, { at: number; found: ReturnType<typeof findProxy> }>();
  /** Names in certificates: parsing one costs more than the rest of a request. */
  const names = new WeakMap<TLSSocket, string>();
  return async (socket) => {
    const name = socket.authorized ? (names.get(socket) ?? socket.getPeerCertificate().subject?.CN) : undefined;
    if (typeof name !== 'string') return undefined;
    names.set(socket, name);
    const kept = known.get(name);
    if (kept && monotonicMs() - kept.at < KEEP_MS) return kept.found;
    const found = findProxy(access, name);
    known.set(name, { at: monotonicMs(), found });
    found.catch(() => known.delete(name));
    return found;
  };
}
