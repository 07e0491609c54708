import { ed25519 } from '@noble/curves/ed25519.js';
import {
  type CryptoProvider,
  decodeText,
  ENDPOINT_PATH,
  encodeText,
  equalBytes,
  parseBase64Url,
} from '@sallyport/channel';
import { DeviceError } from './errors.ts';
import type { StoredProvider, StoredSite } from './record.ts';

/** What a device takes from the realm's site map. */
export interface SiteMap {
  readonly seq: number;
  readonly sites: readonly StoredSite[];
  readonly providers: readonly StoredProvider[];
  readonly keys: readonly { readonly kid: number; readonly rs: Uint8Array }[];
}

/**
 * Verifies the signed site map: EdDSA by the root key whose thumbprint (RFC 7638) was pinned at enrolment.
 * @throws DeviceError SITE_MAP_INVALID
 */
export function verifySiteMap(
  crypto: CryptoProvider,
  jws: string,
  pinned: { realm: string; root: Uint8Array },
): SiteMap {
  try {
    return readSiteMap(crypto, jws, pinned);
  } catch (cause) {
    throw new DeviceError('SITE_MAP_INVALID', 'the site map is not signed by the root key of this realm', { cause });
  }
}

function readSiteMap(crypto: CryptoProvider, jws: string, pinned: { realm: string; root: Uint8Array }): SiteMap {
  const [header = '', payload = '', signature = '', ...rest] = jws.split('.');
  const { alg, typ, jwk } = JSON.parse(decodeText(parseBase64Url(header)));
  const thumbprint = crypto.sha256(encodeText(JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x })));
  const right = rest.length === 0 && alg === 'EdDSA' && typ === 'sallyport-site-map+jwt' && jwk.crv === 'Ed25519';
  if (!right || !equalBytes(thumbprint, pinned.root)) throw new TypeError('not the pinned root key');
  const verified = ed25519.verify(parseBase64Url(signature), encodeText(`${header}.${payload}`), parseBase64Url(jwk.x));
  if (!verified) throw new TypeError('the signature does not fit');
  const map = JSON.parse(decodeText(parseBase64Url(payload)));
  if (map.realm !== pinned.realm || !Number.isSafeInteger(map.seq)) throw new TypeError('of another realm');
  return {
    seq: map.seq,
    sites: map.sites.map(({ name, origins }: StoredSite) => ({ name, origins })),
    providers: map.providers ?? [],
    keys: map.keys.map(({ kid, rs }: { kid: number; rs: string }) => ({ kid, rs: parseBase64Url(rs) })),
  };
}

/** Reads the site map where the Proxies publish it; who publishes it does not matter, it is signed. @throws DeviceError */
export async function readPublishedSiteMap(
  crypto: CryptoProvider,
  link: { readonly realm: string; readonly root: Uint8Array; readonly origins: readonly string[] },
): Promise<SiteMap> {
  for (const origin of link.origins) {
    const url = `${origin.replace(/^ws/, 'http')}${ENDPOINT_PATH}/site-map?realm=${encodeURIComponent(link.realm)}`;
    const answer = await fetch(url).catch(() => undefined);
    if (!answer?.ok) continue;
    const { siteMap } = (await answer.json()) as { siteMap: string };
    return verifySiteMap(crypto, siteMap, link);
  }
  throw new DeviceError('OFFLINE', 'no address of the gateway answers');
}
