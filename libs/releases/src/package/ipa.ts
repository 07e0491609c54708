import { createHash } from 'node:crypto';
import { ContentInfo, id_signedData, SignedData } from '@peculiar/asn1-cms';
import { AsnConvert } from '@peculiar/asn1-schema';
import { PackageError } from '../errors.ts';
import type { PackageFacts } from './facts.ts';
import { type PropertyList, readPropertyList } from './property-list.ts';
import { checkParts, readPart, type Zip } from './zip.ts';

const INFO = /^Payload\/[^/]+\.app\/Info\.plist$/;
const PROFILE = 'embedded.mobileprovision';
const VERSION = /^[0-9]{1,9}(\.[0-9]{1,9}){0,7}$/;
const MAX_PERMISSIONS = 1_000;

/** The name of the Info.plist of the one app in a package; undefined for what is no IPA. @throws PackageError ERR_PACKAGE_FORMAT */
export function findIosInfo({ entries }: Zip): string | undefined {
  const found = [...entries.keys()].filter((name) => INFO.test(name));
  if (found.length > 1) throw new PackageError('ERR_PACKAGE_FORMAT', 'it is a package of two apps');
  return found[0];
}

/**
 * Reads an IPA: what its Info.plist says, and whom its embedded profile names as signers. Both must fit each other. The signatures of
 * profile and code are not verified here: iOS does that when it installs, by roots of its own. It may read the package from its beginning,
 * so what was looked at here must be all that there is.
 * @throws PackageError
 */
export async function readIpa(zip: Zip, infoName: string): Promise<PackageFacts> {
  await checkParts(zip);
  const info = readPropertyList(await readPart(zip, zip.entries.get(infoName)!));
  const id = textOf(info, 'CFBundleIdentifier', /^[A-Za-z0-9]([A-Za-z0-9.-]{0,126}[A-Za-z0-9])?$/);
  const version = textOf(info, 'CFBundleShortVersionString', VERSION);
  const build = textOf(info, 'CFBundleVersion', /^[A-Za-z0-9.]{1,32}$/);
  const minOsVersion = info.keys.has('MinimumOSVersion') ? textOf(info, 'MinimumOSVersion', VERSION) : '';
  const profile = zip.entries.get(infoName.replace(/Info\.plist$/, PROFILE));
  if (!profile)
    throw new PackageError('ERR_PACKAGE_SIGNATURE', 'it has no embedded profile: who signed it is not known');
  const signers = signersOf(await readPart(zip, profile), id);
  return { kind: 'ipa', os: 'ios', id, version, build, minOsVersion, signers, permissions: permissionsOf(info) };
}

function textOf({ texts }: PropertyList, key: string, form: RegExp): string {
  const text = texts.get(key);
  if (text === undefined || !form.test(text))
    throw new PackageError('ERR_PACKAGE_MANIFEST', `the manifest cannot be read: ${key} is not as it should be`);
  return text;
}

/** What an app asks its user for is said by the words that it asks with: `NSCameraUsageDescription`. */
function permissionsOf({ keys }: PropertyList): string[] {
  const asked = [...keys].filter((key) => /^NS[A-Za-z]{1,80}UsageDescription$/.test(key));
  if (asked.length > MAX_PERMISSIONS)
    throw new PackageError('ERR_PACKAGE_MANIFEST', 'the manifest cannot be read: it asks for too much');
  return asked.map((key) => key.slice(2, -'UsageDescription'.length)).sort();
}

/** SHA-256 of the certificates that a profile lets sign, hex. @throws PackageError ERR_PACKAGE_SIGNATURE */
function signersOf(bytes: Buffer, id: string): string[] {
  const { values } = profileOf(bytes);
  const entitlements = values['Entitlements'] as Readonly<Record<string, unknown>> | undefined;
  const appId = entitlements?.['application-identifier'];
  if (typeof appId !== 'string' || !isFor(appId, id)) throw unsigned('its profile is for another app');
  const expires = values['ExpirationDate'];
  if (!(expires instanceof Date) || !(expires.getTime() > Date.now())) throw unsigned('its profile is over');
  const certificates = values['DeveloperCertificates'];
  if (!Array.isArray(certificates) || certificates.length === 0 || certificates.length > 64)
    throw unsigned('its profile names nobody who signs');
  return [...new Set(certificates.map(fingerprintOf))];
}

/** `TEAM.com.example.app`, or `TEAM.com.example.*`. */
function isFor(appId: string, id: string): boolean {
  const [, name = ''] = /^[A-Z0-9]{10}\.(.+)$/.exec(appId) ?? [];
  return name.endsWith('*') ? id.startsWith(name.slice(0, -1)) : name === id;
}

function fingerprintOf(certificate: unknown): string {
  if (!(certificate instanceof Uint8Array)) throw unsigned('a certificate in its profile is none');
  return createHash('sha256').update(certificate).digest('hex');
}

/** A profile is a property list inside of a signed message (RFC 5652). */
function profileOf(bytes: Buffer): PropertyList {
  let content: ArrayBuffer | undefined;
  try {
    const info = AsnConvert.parse(bytes, ContentInfo);
    if (info.contentType !== id_signedData) throw unsigned('its profile is no signed message');
    content = AsnConvert.parse(info.content, SignedData).encapContentInfo.eContent?.single?.buffer;
  } catch (cause) {
    if (cause instanceof PackageError) throw cause;
    throw unsigned('its profile cannot be read', cause);
  }
  if (!content) throw unsigned('its profile holds nothing');
  return readPropertyList(Buffer.from(content));
}

function unsigned(why: string, cause?: unknown): PackageError {
  const message = `the signature does not hold: ${why}`;
  return new PackageError('ERR_PACKAGE_SIGNATURE', message, cause === undefined ? {} : { cause });
}
