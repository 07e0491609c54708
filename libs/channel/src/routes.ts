import { concat, EMPTY, encodeText } from './bytes.ts';
import { CborFields, type CborInput, type CborValue, encodeCbor, isCborMap } from './cbor.ts';
import { type AeadKey, type CryptoProvider, KEY_BYTES, NONCE_BYTES, type SessionSecret, TAG_BYTES } from './crypto.ts';
import { ChannelError, demand } from './errors.ts';
import { decodePadded, encodePadded, SID_BYTES } from './messages.ts';
import { hkdfExpand, hkdfExtract } from './schedule.ts';

/** One resource that a session may reach, and where. */
export interface Route {
  /** Name of the resource, as in WELCOME. */
  readonly name: string;
  /** What its streams carry. */
  readonly kind: 'http' | 'tcp';
  /** Where a device asks for it; may be a wildcard. */
  readonly authority: string;
  /** What people call it, when that is another word than its name. */
  readonly title?: string;
  /** Sites by preference, the first first; those of one inner list are equally preferred. Never an empty list. */
  readonly sites: readonly (readonly string[])[];
}

/** What a session may reach and at which sites, as Security read it at one moment (SPEC.md, section 5). */
export interface Routes {
  /** Epoch of the revocation log, 32 hex digits. */
  readonly epoch: string;
  /** Index of the log at which this was read: it orders routes of one epoch. */
  readonly asOf: number;
  /** All that the session may reach, wherever it is. */
  readonly routes: readonly Route[];
  /** True when that is more than fits into a message, so that some are missing here. */
  readonly more?: boolean;
}

/** Bytes of sealed routes at most: they fit into one NOTICE. */
export const MAX_ROUTES_BYTES = 61_440;

/** Resources in routes at most. */
const MAX_ROUTES = 4_096;
/** Of routes that would just fit by their mean length so many are tried: some are longer than others. */
const FITTING_PART = 0.9;
/** Sites of a resource at most, in all its ranks. */
const MAX_SITES = 64;
const VERSION = 1;
/** The suite of sealed routes, whatever that of the channel is. */
const CHACHA_POLY = 1;
const SALT_BYTES = 32;
const LABEL = encodeText('sallyport/1 routes');
/** The nonce may be zero: the salt is new each time, so each key seals one message. */
const NONCE = new Uint8Array(NONCE_BYTES);

/** Routes as a map of CBOR: the field `routes` of HS4, where nobody stands between (SPEC.md, section 5). */
export function routesToCbor({ epoch, asOf, routes, more }: Routes): CborInput {
  return {
    v: VERSION,
    epoch,
    as_of: asOf,
    resources: routes.map(({ name, kind, authority, title, sites }) => ({ name, kind, authority, title, sites })),
    ...(more ? { more } : {}),
  };
}

/**
 * Routes of a decoded map.
 * @throws ChannelError ERR_CHANNEL_CBOR
 */
export function readRoutes(fields: CborFields): Routes {
  demand(fields.uint('v') === VERSION, 'ERR_CHANNEL_CBOR', 'field v: not a version that is known');
  const epoch = fields.text('epoch', 32);
  demand(/^[0-9a-f]{32}$/.test(epoch), 'ERR_CHANNEL_CBOR', 'field epoch: expected 32 hex digits');
  const routes = fields.list('resources', MAX_ROUTES).map(readRoute);
  return { epoch, asOf: fields.uint('as_of'), routes, ...(fields.flag('more') ? { more: true } : {}) };
}

function readRoute(value: CborValue): Route {
  demand(isCborMap(value), 'ERR_CHANNEL_CBOR', 'field resources: expected maps');
  const fields = new CborFields(value);
  const kind = fields.text('kind', 8);
  demand(kind === 'http' || kind === 'tcp', 'ERR_CHANNEL_CBOR', 'field kind: not one that is known');
  const title = fields.optionalText('title', 128);
  const sites = fields.list('sites', MAX_SITES).map(readRank);
  demand(sites.length > 0, 'ERR_CHANNEL_CBOR', 'field sites: empty');
  const names = sites.flat();
  demand(names.length <= MAX_SITES, 'ERR_CHANNEL_CBOR', `field sites: more than ${MAX_SITES} sites`);
  demand(new Set(names).size === names.length, 'ERR_CHANNEL_CBOR', 'field sites: a site twice');
  return {
    name: fields.line('name', 128),
    kind,
    authority: fields.line('authority', 255),
    ...(title === undefined ? {} : { title }),
    sites,
  };
}

function readRank(value: CborValue): readonly string[] {
  demand(Array.isArray(value) && value.length > 0, 'ERR_CHANNEL_CBOR', 'field sites: expected lists of names');
  return value.map((name: CborValue) => {
    const fits = typeof name === 'string' && name.length > 0 && name.length <= 128;
    demand(fits, 'ERR_CHANNEL_CBOR', 'field sites: expected names');
    return name;
  });
}

function firstOf(routes: Routes, count: number): Routes {
  return { ...routes, routes: routes.routes.slice(0, count), more: true };
}

/** Whose routes they are. */
export interface RoutesOwner {
  /** Secret of the session. */
  readonly secret: SessionSecret;
  /** Id of the session, `SID_BYTES` bytes. */
  readonly sid: Uint8Array;
}

function keyFor(crypto: CryptoProvider, { secret, sid }: RoutesOwner, salt: Uint8Array): AeadKey {
  if (sid.length !== SID_BYTES) throw new TypeError(`a session id has ${SID_BYTES} bytes, got ${sid.length}`);
  const key = hkdfExpand(crypto, hkdfExtract(crypto, salt, secret), concat(LABEL, sid), KEY_BYTES);
  return crypto.aead(CHACHA_POLY, key);
}

/** The routes that are sealed: all, or the first ones with the word that there are more, if all are longer than `MAX_ROUTES_BYTES`. */
export function routesThatFit(routes: Routes): Routes {
  return fitting(routes).routes;
}

function fitting(routes: Routes): { readonly routes: Routes; readonly plain: Uint8Array } {
  const { length } = routes.routes;
  if (length > MAX_ROUTES) return fitting(firstOf(routes, MAX_ROUTES));
  const plain = encodePadded(EMPTY, encodeCbor(routesToCbor(routes)));
  const part = MAX_ROUTES_BYTES / (SALT_BYTES + plain.length + TAG_BYTES);
  if (part >= 1) return { routes, plain };
  return fitting(firstOf(routes, Math.floor(length * part * FITTING_PART)));
}

/**
 * Seals routes end to end for the device of a session, so that a Proxy can neither read nor change them on the way (SPEC.md,
 * section 5). Of more than fit into `MAX_ROUTES_BYTES` the first ones are told, and that there are more.
 *
 *     0      32
 *     salt | AEAD(u32 length | CBOR | zeros to a multiple of 256)
 */
export function sealRoutes(crypto: CryptoProvider, of: RoutesOwner, routes: Routes): Uint8Array {
  const { plain } = fitting(routes);
  const salt = crypto.randomBytes(SALT_BYTES);
  return concat(salt, keyFor(crypto, of, salt).seal(NONCE, concat(LABEL, of.sid), plain));
}

/**
 * Opens what `sealRoutes` made with the same session.
 * @throws ChannelError ERR_CHANNEL_OPEN, ERR_CHANNEL_MESSAGE or ERR_CHANNEL_CBOR
 */
export function openRoutes(crypto: CryptoProvider, of: RoutesOwner, sealed: Uint8Array): Routes {
  const fits = sealed.length > SALT_BYTES + TAG_BYTES && sealed.length <= MAX_ROUTES_BYTES;
  if (!fits) throw new ChannelError('ERR_CHANNEL_MESSAGE', 'sealed routes have another length');
  const key = keyFor(crypto, of, sealed.subarray(0, SALT_BYTES));
  const plain = key.open(NONCE, concat(LABEL, of.sid), sealed.subarray(SALT_BYTES));
  return readRoutes(CborFields.decode(decodePadded(plain, 0).cbor));
}
