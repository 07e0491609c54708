import { createECDH, hash } from 'node:crypto';
import { type EnrolmentLink, formatHex, keyOf, type SecretKey, type SharedKey } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import type { DeviceRecord, StoredJwk } from '@sallyport/device';

/** Password of every filled user. */
export const FILL_PASSWORD = 'filled by the drill';
/** App of all filled installations. */
export const FILL_APP = 'filled.app';
/** Group of all filled users. */
export const FILL_GROUP = 'staff';

const crypto = serverCrypto();

/** Whatever a fill makes up: 32 bytes that follow from its seed, what they are for, and whose they are. */
export function drawn(seed: number, what: string, of: number): Uint8Array {
  return new Uint8Array(hash('sha256', `sallyport fill ${seed} ${what} ${of}`, 'buffer'));
}

/** A filled user, counted from 0. */
export function filledUser(seed: number, i: number): { readonly id: string; readonly name: string } {
  return { id: formatHex(drawn(seed, 'user', i).subarray(0, 16)), name: `filled-${String(i).padStart(7, '0')}` };
}

/** Id of the installation of a filled user. */
export function filledInstallation(seed: number, i: number): string {
  return formatHex(drawn(seed, 'installation', i).subarray(0, 16));
}

/** The keys of a filled installation, both halves. */
export interface FilledKeys {
  readonly deviceSecret: SecretKey;
  readonly deviceStatic: Uint8Array;
  readonly signing: { readonly publicJwk: StoredJwk; readonly privateJwk: StoredJwk };
  readonly shared: SharedKey;
}

/** Keys with which a device of that installation can sign in; a tenth of a millisecond each. */
export function filledKeys(seed: number, i: number): FilledKeys {
  const deviceSecret = keyOf<SecretKey>(drawn(seed, 'device', i));
  return {
    deviceSecret,
    deviceStatic: Uint8Array.from(crypto.keyPairOf(deviceSecret).publicKey),
    signing: signingKeyOf(drawn(seed, 'signing', i)),
    shared: sharedKeyOf(seed, i),
  };
}

/** The first shared key of a filled installation. */
export function sharedKeyOf(seed: number, i: number): SharedKey {
  return keyOf<SharedKey>(drawn(seed, 'shared', i));
}

/** An elliptic-curve key as JSON (RFC 7518, section 6.2). */
function signingKeyOf(d: Uint8Array): FilledKeys['signing'] {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const publicJwk = publicJwkOf(point.subarray(1, 33), point.subarray(33));
  return { publicJwk, privateJwk: { ...publicJwk, d: Buffer.from(d).toString('base64url') } };
}

/** What stands in the rows of installations that never sign in: it looks like a key. */
export function lookAlikeKey(seed: number, i: number): StoredJwk {
  return publicJwkOf(drawn(seed, 'x', i), drawn(seed, 'y', i));
}

function publicJwkOf(x: Uint8Array, y: Uint8Array): StoredJwk {
  return {
    kty: 'EC',
    crv: 'P-256',
    x: Buffer.from(x).toString('base64url'),
    y: Buffer.from(y).toString('base64url'),
  };
}

/** What the device of a filled installation keeps, as if it had enrolled by a link like this one. */
export function filledDevice(seed: number, i: number, link: EnrolmentLink): DeviceRecord {
  const { realm, kid, rs, root, origins } = link;
  const { deviceSecret, signing, shared } = filledKeys(seed, i);
  const { name } = filledUser(seed, i);
  return {
    realm,
    kid,
    rs,
    root,
    origins,
    deviceSecret,
    signingKey: { publicJwk: signing.publicJwk, privateKey: signing.privateJwk },
    iid: filledInstallation(seed, i),
    user: { name, displayName: name },
    keys: { generation: 0, current: shared },
  };
}
