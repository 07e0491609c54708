import { type AccessContext, readSiteMap } from '@sallyport/access';
import { decodeText, MAX_ROOT_STATEMENTS, parseBase64Url } from '@sallyport/channel';
import { CompactSign, type JWK } from 'jose';
import type { LiveKeys } from '../keys/live-keys.ts';

/** Life of a signed site map before it is signed anew, ms. */
const FRESH_MS = 2_000;

/** What a site map is made from. */
export interface SiteMapParts {
  readonly access: AccessContext;
  readonly liveKeys: Pick<LiveKeys, 'current' | 'reread'>;
}

/** Signs the realm's site map: sites, keys, suites and sign-in methods (SPEC.md, section 2). Cached for two seconds, if nobody knows of a newer one. */
export function siteMapSigner(parts: SiteMapParts): (seq?: number) => Promise<string> {
  let cached: { readonly text: string; readonly seq: number; readonly at: number } | undefined;
  let signing: Promise<string> | undefined;
  const sign = async (at: number): Promise<string> => {
    try {
      const { text, seq } = await signSiteMap(parts);
      cached = { text, seq, at };
      return text;
    } finally {
      signing = undefined;
    }
  };
  return async (seq = 0) => {
    const now = performance.now();
    if (cached && now - cached.at < FRESH_MS && cached.seq >= seq) return cached.text;
    // However many ask at once, one map is read and signed for all of them.
    signing ??= sign(now);
    return signing;
  };
}

async function signSiteMap({
  access,
  liveKeys,
}: SiteMapParts): Promise<{ readonly text: string; readonly seq: number }> {
  const map = await readSiteMap(access);
  // Of one version all nodes sign one map, with one root key.
  if (map.seq > liveKeys.current.mapVersion) await liveKeys.reread();
  const { root, rootStatements } = liveKeys.current;
  const header = {
    alg: 'EdDSA',
    typ: 'sallyport-site-map+jwt',
    jwk: publicOnly(root.publicJwk),
    ...rootsOf(rootStatements),
  };
  const text = await new CompactSign(new TextEncoder().encode(JSON.stringify(map)))
    .setProtectedHeader(header)
    .sign(root.privateKey);
  return { text, seq: map.seq };
}

/** By which the root keys before named this one; a realm that never replaced one has none. */
function rootsOf(statements: readonly string[]): { readonly roots?: readonly string[] } {
  return statements.length > 0 ? { roots: statements.slice(-MAX_ROOT_STATEMENTS) } : {};
}

/** The root key that signed a map of ours, as JSON: while keys change, a map that is kept may be of the one before. */
export function rootKeyOf(siteMap: string): string {
  const [header = ''] = siteMap.split('.');
  return JSON.stringify((JSON.parse(decodeText(parseBase64Url(header))) as { readonly jwk: JWK }).jwk);
}

function publicOnly({ kty, crv, x }: JWK): JWK {
  return { kty: kty!, crv: crv!, x: x! } as JWK;
}
