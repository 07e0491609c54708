import { ed25519 } from '@noble/curves/ed25519.js';
import {
  type CryptoProvider,
  concat,
  decodeText,
  ENDPOINT_PATH,
  encodeText,
  equalBytes,
  followRoots,
  MAX_SITE_MAP_BYTES,
  parseBase64Url,
  rootThumbprint,
} from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import { inTurn } from '../gateway/in-turn.ts';
import type { DeviceRecord, StoredProvider, StoredSite } from '../kept/record.ts';

/** What a device takes from the realm's site map. */
export interface SiteMap {
  readonly seq: number;
  /** Which life of Security's records this is; empty when the map does not say. */
  readonly epoch: string;
  readonly sites: readonly StoredSite[];
  readonly providers: readonly StoredProvider[];
  /** Security's keys, the newest first. */
  readonly keys: readonly { readonly kid: number; readonly rs: Uint8Array }[];
  /** Ids of keys that are no longer to be used, whoever shows a link with one. */
  readonly revoked: readonly number[];
  /** Thumbprint of the root key that signed it: the pinned one, or one that this one led to. */
  readonly root: Uint8Array;
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
  if (jws.length > MAX_SITE_MAP_BYTES) throw new TypeError(`longer than ${MAX_SITE_MAP_BYTES} bytes`);
  const [header = '', payload = '', signature = '', ...rest] = jws.split('.');
  const { alg, typ, jwk, roots = [] } = JSON.parse(decodeText(parseBase64Url(header)));
  const root = rootThumbprint(crypto, jwk);
  const right = rest.length === 0 && alg === 'EdDSA' && typ === 'sallyport-site-map+jwt' && jwk.crv === 'Ed25519';
  if (!right || !leadsTo(crypto, root, { pinned, statements: roots })) throw new TypeError('not the pinned root key');
  const verified = ed25519.verify(parseBase64Url(signature), encodeText(`${header}.${payload}`), parseBase64Url(jwk.x));
  if (!verified) throw new TypeError('the signature does not fit');
  const map = JSON.parse(decodeText(parseBase64Url(payload)));
  if (map.realm !== pinned.realm || !Number.isSafeInteger(map.seq)) throw new TypeError('of another realm');
  return {
    seq: map.seq,
    epoch: typeof map.epoch === 'string' ? map.epoch : '',
    sites: map.sites.map(siteOf),
    providers: map.providers ?? [],
    keys: map.keys.map(({ kid, rs }: { kid: number; rs: string }) => ({ kid, rs: parseBase64Url(rs) })),
    revoked: map.revoked ?? [],
    root,
  };
}

/** Whether the pinned root key signed it, or named whoever did, be it by others. */
function leadsTo(
  crypto: CryptoProvider,
  root: Uint8Array,
  {
    pinned,
    statements,
  }: { readonly pinned: { realm: string; root: Uint8Array }; readonly statements: readonly string[] },
): boolean {
  if (equalBytes(root, pinned.root)) return true;
  return equalBytes(root, followRoots(crypto, pinned.root, { realm: pinned.realm, statements }));
}

function siteOf({ name, origins, title }: StoredSite): StoredSite {
  return { name, origins, ...(typeof title === 'string' ? { title } : {}) };
}

/** The record with what a site map says; an older map, or the one that is known, changes nothing. */
export function takeSiteMap(record: DeviceRecord, map: SiteMap): DeviceRecord {
  if (map.seq <= (record.siteMapSeq ?? -1)) return record;
  const newest = map.keys[0];
  const key = newest ? { kid: newest.kid, rs: newest.rs } : {};
  const { sites, providers, seq: siteMapSeq, epoch, root } = map;
  // From now on the newer root key is the one that counts, and the old one signs nothing for this device any more.
  return { ...record, ...key, root, sites, providers, siteMapSeq, epoch };
}

/** How long one Proxy may take to give its site map, and when the next one is asked beside it, ms. */
const PUBLISHED_TIMEOUT_MS = 5_000;
const PUBLISHED_STAGGER_MS = 700;
/** What stands around a map in the answer of a Proxy, in bytes at most. */
const AROUND_BYTES = 4_096;

/** Nodes and Proxies keep a site map for some seconds: a link may be newer. How often it is asked for again, and when, ms. */
const CATCH_UP_TRIES = 8;
const CATCH_UP_MS = 1_000;

/** Reads the site map that a link needs, waiting a little for one as new as the link. @throws DeviceError */
export async function readSiteMapOf(
  crypto: CryptoProvider,
  link: {
    readonly realm: string;
    readonly root: Uint8Array;
    readonly origins: readonly string[];
    readonly seq: number;
  },
): Promise<SiteMap> {
  for (let tries = 1; ; tries++) {
    const { seq, ...any } = link;
    const map = await readPublishedSiteMap(crypto, any);
    if (map.seq >= seq) return map;
    if (tries === CATCH_UP_TRIES) throw new DeviceError('SITE_MAP_INVALID', 'the site map is older than the link');
    await new Promise((resolve) => setTimeout(resolve, CATCH_UP_MS));
  }
}

/**
 * Reads the site map where the Proxies publish it; who publishes it does not matter, it is signed. One that is older than
 * `seq` is not taken, and the next Proxy is asked. @throws DeviceError OFFLINE, SITE_MAP_INVALID
 */
export async function readPublishedSiteMap(
  crypto: CryptoProvider,
  of: {
    readonly realm: string;
    readonly root: Uint8Array;
    readonly origins: readonly string[];
    readonly seq?: number;
  },
): Promise<SiteMap> {
  let failure = new DeviceError('OFFLINE', 'no address of the gateway answers');
  const ask = (origin: string): Promise<SiteMap> => readMapAt(crypto, origin, of);
  const turns = { staggerMs: PUBLISHED_STAGGER_MS, late: () => undefined };
  for await (const outcome of inTurn(of.origins, ask, turns)) {
    if ('result' in outcome && outcome.result.seq >= (of.seq ?? 0)) return outcome.result;
    if ('result' in outcome)
      failure = new DeviceError('SITE_MAP_INVALID', 'the site map is older than the one that is known');
    else if (outcome.error instanceof DeviceError) failure = outcome.error;
  }
  throw failure;
}

/** @throws DeviceError SITE_MAP_INVALID; others when the Proxy gives none */
async function readMapAt(
  crypto: CryptoProvider,
  origin: string,
  of: { readonly realm: string; readonly root: Uint8Array },
): Promise<SiteMap> {
  const url = `${origin.replace(/^ws/, 'http')}${ENDPOINT_PATH}/site-map?realm=${encodeURIComponent(of.realm)}`;
  // Whoever stands between could else send the device to any address that it reaches, a pinned one, too.
  const answer = await fetch(url, {
    redirect: 'error',
    credentials: 'omit',
    signal: AbortSignal.timeout(PUBLISHED_TIMEOUT_MS),
  });
  if (!answer.ok) throw new TypeError(`${origin} answers with ${answer.status}`);
  const { siteMap } = JSON.parse(await readBounded(answer, MAX_SITE_MAP_BYTES + AROUND_BYTES)) as { siteMap: string };
  return verifySiteMap(crypto, siteMap, of);
}

/** Text of an answer that is not longer than it may be. */
async function readBounded({ body }: Response, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    length += part.value.length;
    if (length > maxBytes) {
      await reader?.cancel();
      throw new DeviceError('SITE_MAP_INVALID', `the site map is longer than ${maxBytes} bytes`);
    }
    parts.push(part.value);
  }
  return decodeText(concat(...parts));
}
