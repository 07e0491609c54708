import { getRealm } from '@sallyport/access';
import { formatBase64Url } from '@sallyport/channel';
import { CompactSign, type JWK } from 'jose';
import { providerEntries } from './directories/providers.ts';
import type { RealmContext } from './realm-context.ts';

/** Life of a signed site map before it is signed anew, ms. */
const FRESH_MS = 2_000;

/** Signs the realm's site map: sites, keys, suites and sign-in methods (SPEC.md, section 2). Cached for two seconds. */
export function siteMapSigner(context: RealmContext): () => Promise<string> {
  let cached: { readonly text: string; readonly at: number } | undefined;
  return async () => {
    const now = performance.now();
    if (cached && now - cached.at < FRESH_MS) return cached.text;
    cached = { text: await signSiteMap(context), at: now };
    return cached.text;
  };
}

async function signSiteMap({ access, keys }: RealmContext): Promise<string> {
  const { sites, mapVersion, directories } = await access.store.transaction(async (transaction) => ({
    sites: await transaction.tables.sites.list(),
    mapVersion: (await getRealm(transaction)).mapVersion,
    directories: await transaction.tables.directories.list(),
  }));
  const map = {
    realm: access.store.realm,
    seq: mapVersion,
    sites: sites.map(({ name, origins, resources }) => ({ name, origins, resources })),
    keys: [...keys.handshake].map(([kid, { publicKey }]) => ({ kid, rs: formatBase64Url(publicKey) })),
    suites: [1, 2],
    signIn: ['password'],
    providers: providerEntries(directories),
  };
  const header = { alg: 'EdDSA', typ: 'sallyport-site-map+jwt', jwk: publicOnly(keys.root.publicJwk) };
  return new CompactSign(new TextEncoder().encode(JSON.stringify(map)))
    .setProtectedHeader(header)
    .sign(keys.root.privateKey);
}

function publicOnly({ kty, crv, x }: JWK): JWK {
  return { kty: kty!, crv: crv!, x: x! } as JWK;
}
