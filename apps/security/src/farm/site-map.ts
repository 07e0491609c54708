import { getRealm, readMapKeys } from '@sallyport/access';
import { CompactSign, type JWK } from 'jose';
import { providerEntries } from '../directories/providers.ts';
import type { RealmContext } from '../realm-context.ts';

/** Life of a signed site map before it is signed anew, ms. */
const FRESH_MS = 2_000;

/** Signs the realm's site map: sites, keys, suites and sign-in methods (SPEC.md, section 2). Cached for two seconds. */
export function siteMapSigner(context: RealmContext): () => Promise<string> {
  let cached: { readonly text: string; readonly at: number } | undefined;
  let signing: Promise<string> | undefined;
  const sign = async (at: number): Promise<string> => {
    try {
      const text = await signSiteMap(context);
      cached = { text, at };
      return text;
    } finally {
      signing = undefined;
    }
  };
  return async () => {
    const now = performance.now();
    if (cached && now - cached.at < FRESH_MS) return cached.text;
    // However many ask at once, one map is read and signed for all of them.
    signing ??= sign(now);
    return signing;
  };
}

async function signSiteMap({ access, keys }: RealmContext): Promise<string> {
  const { sites, realm, directories, handshake } = await access.store.transaction(async (transaction) => ({
    // One transaction and rows alone: two nodes never sign different maps with one `seq`.
    handshake: await readMapKeys(transaction),
    sites: await transaction.tables.sites.list(),
    realm: await getRealm(transaction),
    directories: await transaction.tables.directories.list(),
  }));
  const map = {
    realm: access.store.realm,
    seq: realm.mapVersion,
    epoch: realm.epoch,
    sites: sites.map(({ name, origins, resources }) => ({ name, origins, resources })),
    keys: handshake.published.map(({ kid, key }) => ({ kid, rs: key })),
    revoked: handshake.retired.map(({ kid }) => kid),
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
