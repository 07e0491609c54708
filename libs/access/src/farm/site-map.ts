import { encodeText, MAX_ROOT_STATEMENTS, MAX_SITE_MAP_BYTES } from '@sallyport/channel';
import type { DirectoryRow } from '../directory/rows.ts';
import { readMapKeys } from '../keys/realm-keys.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';

/** An OpenID provider as devices learn of it from the site map. */
export interface ProviderEntry {
  readonly directory: string;
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly clientId: string;
  readonly scope: string;
  readonly redirects: readonly string[];
  readonly acr?: readonly string[];
}

/** What a site map says (SPEC.md, section 2), before it is signed. */
export interface SiteMapContent {
  readonly realm: string;
  readonly seq: number;
  readonly epoch: string;
  readonly sites: readonly { readonly name: string; readonly origins: readonly string[] }[];
  /** Handshake keys, the newest first; `rs` is base64url. */
  readonly keys: readonly { readonly kid: number; readonly rs: string }[];
  readonly revoked: readonly number[];
  readonly suites: readonly number[];
  readonly signIn: readonly string[];
  readonly providers: readonly ProviderEntry[];
}

/** Reads what a site map says in one transaction and from rows alone: two nodes never sign different maps with one version. */
export function readSiteMap({ store }: AccessContext): Promise<SiteMapContent> {
  return store.transaction(async (transaction) => contentIn(transaction, store.realm));
}

async function contentIn(transaction: Transaction, name: string): Promise<SiteMapContent> {
  const before = await getRealm(transaction);
  const { published, retired } = await readMapKeys(transaction);
  const sites = await transaction.tables.sites.list();
  const directories = await transaction.tables.directories.list();
  const realm = await getRealm(transaction);
  // Each statement sees what was committed before it: somebody may have changed the map between two of them.
  if (realm.mapVersion !== before.mapVersion) return contentIn(transaction, name);
  return {
    realm: name,
    seq: realm.mapVersion,
    epoch: realm.epoch,
    sites: sites.map(({ name, origins }) => ({ name, origins })),
    keys: published.map(({ kid, key }) => ({ kid, rs: key })),
    revoked: retired.map(({ kid }) => kid),
    suites: [1, 2],
    signIn: ['password'],
    providers: providerEntries(directories),
  };
}

/** Providers at which devices can sign in now. */
export function providerEntries(rows: readonly DirectoryRow[]): ProviderEntry[] {
  return rows.flatMap((row) => {
    const { provider } = row.state;
    if (row.kind !== 'oidc' || row.stage !== 'active' || !provider) return [];
    const { issuer, clientId, scope, redirects, acr } = row.settings;
    const { authorizationEndpoint } = provider;
    const entry = { directory: row.name, issuer, authorizationEndpoint, clientId, scope: scopeOf(scope), redirects };
    return [acr ? { ...entry, acr } : entry];
  });
}

/** The scope to ask for; `openid` is always in it. */
function scopeOf(scope: string | undefined): string {
  return [...new Set(['openid', ...(scope ?? 'profile').split(' ')])].join(' ');
}

/** Header, signature and dots of a signed map, in bytes at most. */
const AROUND_BYTES = 300;
/** What stays free for what nobody is asked about: keys that turn, and what providers publish. */
const SPARE_BYTES = 4_096;
/** What a provider may publish that has not answered yet, in bytes. */
const ENDPOINT_BYTES = 512;

/**
 * How long the site map is when it is signed, in bytes. Providers count that have not answered yet: their entries come without anybody
 * who could be told.
 */
export async function siteMapBytes(transaction: Transaction, realm: string): Promise<number> {
  const content = await contentIn(transaction, realm);
  const directories = (await transaction.tables.directories.list()).map((row) =>
    row.state.provider
      ? row
      : { ...row, state: { ...row.state, provider: { authorizationEndpoint: 'x'.repeat(ENDPOINT_BYTES) } } },
  );
  const json = JSON.stringify({ ...content, providers: providerEntries(directories) });
  const roots = JSON.stringify(await rootStatements(transaction));
  return AROUND_BYTES + Math.ceil(((encodeText(json).length + roots.length) * 4) / 3);
}

/** By which root keys before the one of today named the next: the header of a map has them. */
async function rootStatements({ tables }: Transaction): Promise<string[]> {
  const rows = await tables.keys.list({ where: { purpose: 'root' } });
  return rows
    .flatMap((row) => (row.purpose === 'root' ? (row.publicPart.statement ?? []) : []))
    .slice(-MAX_ROOT_STATEMENTS);
}

/**
 * Refuses a change behind which the site map would be longer than Proxies and devices take one (SPEC.md, section 2), and than it was
 * `before`. To call in the change's transaction, behind its writes.
 * @throws AccessError ERR_ACCESS_INVALID
 */
export async function checkMapFits(transaction: Transaction, realm: string, before: number): Promise<void> {
  const most = MAX_SITE_MAP_BYTES - SPARE_BYTES;
  const bytes = await siteMapBytes(transaction, realm);
  if (bytes <= most || bytes <= before) return;
  throw new AccessError(
    'ERR_ACCESS_INVALID',
    `the site map would have ${bytes} bytes, of ${most} at most: it names all origins of all sites, and all providers`,
  );
}
