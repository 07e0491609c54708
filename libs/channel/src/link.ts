import { formatBase64Url, parseBase64Url } from './bytes.ts';
import { CborFields, encodeCbor } from './cbor.ts';
import { KEY_BYTES, type PublicKey, publicKeyOf } from './crypto.ts';
import { ChannelError } from './errors.ts';

/** What fixes a device to one Proxy or one site, for networks where nothing else can be reached: it dials nothing else then. */
export interface LinkPin {
  /** Name of the one site. */
  readonly site?: string;
  /** WebSocket origin of the one Proxy, `wss://host[:port]`. */
  readonly origin?: string;
}

/** What an enrolment link carries in its fragment (SPEC.md, section 4). */
export interface EnrolmentLink {
  /** WebSocket origins of Proxies, `wss://host[:port]` (or `ws://` behind nothing, on loopback). */
  readonly origins: readonly string[];
  /** Name of the realm. */
  readonly realm: string;
  /** Id of the key of Security that `rs` is, u32. */
  readonly kid: number;
  /** Security's static public key. */
  readonly rs: PublicKey;
  /** SHA-256 thumbprint (RFC 7638) of the realm's root key, 32 bytes. */
  readonly root: Uint8Array;
  /** The activation code, as `parseActivationCode` takes it. */
  readonly code: string;
  /** `seq` of the site map at the time of the link: an older one is not taken with it. */
  readonly seq: number;
  /** Whom the link was made for: to be shown, so that somebody who was handed another one's link sees it. Nobody vouches for it. */
  readonly user?: string;
  /** What the device is fixed to, for as long as it is enrolled; absent for most. */
  readonly pin?: LinkPin;
}

const FRAGMENT = '#';

/** Text of a link whose page is at `page`, for instance `https://apps.example/enroll`. */
export function formatLink(page: string, link: EnrolmentLink): string {
  const cbor = encodeCbor({
    v: 1,
    origins: link.origins,
    realm: link.realm,
    kid: link.kid,
    rs: link.rs,
    root: link.root,
    code: link.code,
    seq: link.seq,
    ...(link.user === undefined ? {} : { user: link.user }),
    ...(link.pin === undefined ? {} : { pin: { ...link.pin } }),
  });
  return `${page}${FRAGMENT}${formatBase64Url(cbor)}`;
}

/** Reads a link, or its fragment alone. @throws ChannelError ERR_CHANNEL_LINK */
export function parseLink(text: string): EnrolmentLink {
  try {
    return readLink(text.trim().slice(text.trim().indexOf(FRAGMENT) + 1));
  } catch (cause) {
    throw new ChannelError('ERR_CHANNEL_LINK', 'this is not an enrolment link, or a part of it is missing', { cause });
  }
}

function readLink(fragment: string): EnrolmentLink {
  const fields = CborFields.decode(parseBase64Url(fragment));
  if (fields.uint('v') !== 1) throw new TypeError('unknown version');
  const origins = fields.list('origins', 16).map(parseOrigin);
  if (origins.length === 0) throw new TypeError('no origin');
  const user = fields.optionalLine('user', 128);
  return {
    origins,
    realm: fields.text('realm', 64),
    kid: fields.uint('kid'),
    rs: publicKeyOf(fields.bytes('rs', KEY_BYTES)),
    root: fields.bytes('root', 32),
    code: fields.text('code', 64),
    seq: fields.uint('seq'),
    ...(user === undefined ? {} : { user }),
    ...(fields.has('pin') ? { pin: readPin(fields.map('pin')) } : {}),
  };
}

/** A device that is fixed to something it cannot read must not go elsewhere. */
function readPin(fields: CborFields): LinkPin {
  const site = fields.optionalText('site', 128);
  const origin = fields.optionalText('origin', 255);
  if (site === undefined && origin === undefined) throw new TypeError('a pin names a site or an origin');
  return {
    ...(site === undefined ? {} : { site }),
    ...(origin === undefined ? {} : { origin: parseOrigin(origin) }),
  };
}

function parseOrigin(value: unknown): string {
  const url = new URL(typeof value === 'string' ? value : '');
  if (url.protocol !== 'wss:' && url.protocol !== 'ws:') throw new TypeError('an origin is a WebSocket origin');
  return `${url.protocol}//${url.host}`;
}
