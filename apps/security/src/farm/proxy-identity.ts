import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { type AccessContext, findProxy, PROXY_KEPT_MS, type ProxyKey } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';

/** A Proxy as a connection of its shows it. */
export interface KnownProxy extends ProxyKey {
  readonly site: string;
}

/** Who a TLS connection belongs to: the Proxy that holds the certificate's key. The name in it alone says nothing. */
export type IdentifyProxy = (socket: TLSSocket) => Promise<KnownProxy | undefined>;

/** Nothing for whoever is no Proxy of ours, or has just ceased to be one. */
export function notOurs(): ProblemError {
  return new ProblemError('ERR_HTTP_FORBIDDEN', 'a certificate of a known Proxy is needed');
}

/** Lookups that are kept at most; certificates of our CA that were replaced could fill it. */
const MAX_KEPT = 10_000;

/** Identifies Proxies by the key of their certificate, and looks their row up at most once a second. */
export function proxyIdentity({
  access,
  monotonicMs,
}: {
  readonly access: AccessContext;
  readonly monotonicMs: () => number;
}): IdentifyProxy {
  const known = new Map<string, { at: number; found: Promise<KnownProxy | undefined> }>();
  /** What certificates say: reading one costs more than the rest of a request. */
  const keys = new WeakMap<TLSSocket, ProxyKey>();
  return async (socket) => {
    const key = socket.authorized ? (keys.get(socket) ?? keyOfPeer(socket)) : undefined;
    if (!key) return undefined;
    keys.set(socket, key);
    const id = `${key.name}/${key.keyHash}`;
    const kept = known.get(id);
    if (kept && monotonicMs() - kept.at < PROXY_KEPT_MS) return kept.found;
    const found = findProxy(access, key).then((row) => row && { ...key, site: row.site });
    known.delete(id);
    known.set(id, { at: monotonicMs(), found });
    if (known.size > MAX_KEPT) known.delete(known.keys().next().value!);
    found.catch(() => known.delete(id));
    return found;
  };
}

function keyOfPeer(socket: TLSSocket): ProxyKey | undefined {
  const certificate = socket.getPeerX509Certificate();
  const name = certificate?.toLegacyObject().subject?.CN;
  if (!certificate || typeof name !== 'string') return undefined;
  return { name, keyHash: keyHashOf(certificate.publicKey.export({ type: 'spki', format: 'der' })) };
}

/** What a Proxy is known by: the hash of its public key (SPKI, DER), hex. */
export function keyHashOf(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex');
}
