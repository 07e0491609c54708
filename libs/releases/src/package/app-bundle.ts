import { PackageError } from '../errors.ts';
import { androidFacts } from './apk.ts';
import { readBundleManifest } from './bundle-manifest.ts';
import type { ByteSource } from './byte-source.ts';
import type { PackageFacts } from './facts.ts';
import { verifyJar } from './jar-signature.ts';
import { readPart, readZip, type Zip } from './zip.ts';

/** What only an app bundle has. */
export const BUNDLE_CONFIG = 'BundleConfig.pb';
const MANIFEST = 'base/manifest/AndroidManifest.xml';
const ANY_MANIFEST = /^[^/]+\/manifest\/AndroidManifest\.xml$/;
const MAX_MODULES = 64;

/** What an app bundle says of itself: the same as the APK that is made of it. */
export type BundleFacts = Omit<PackageFacts, 'kind'>;

/**
 * Reads an app bundle (AAB), whose signature of a JAR file holds; undefined for what is none. No device installs one: this is for who makes an
 * APK of it.
 * @throws PackageError
 */
export async function readAppBundle(source: ByteSource): Promise<BundleFacts | undefined> {
  const zip = await readZip(source);
  if (!zip.entries.has(BUNDLE_CONFIG)) return undefined;
  const base = zip.entries.get(MANIFEST);
  if (!base) throw new PackageError('ERR_PACKAGE_FORMAT', `it has no ${MANIFEST}`);
  const manifest = readBundleManifest(await readPart(zip, base));
  const permissions = await permissionsOf(zip, manifest.id);
  const signers = await verifyJar(zip);
  return { ...androidFacts(manifest), signers, permissions };
}

/** What all its modules ask the system for: the APK for all devices has them all. */
async function permissionsOf(zip: Zip, id: string): Promise<string[]> {
  const modules = [...zip.entries.values()].filter(({ name }) => ANY_MANIFEST.test(name));
  if (modules.length > MAX_MODULES) throw new PackageError('ERR_PACKAGE_LARGE', `more than ${MAX_MODULES} modules`);
  const asked = new Set<string>();
  for (const entry of modules) {
    const manifest = readBundleManifest(await readPart(zip, entry));
    if (manifest.id !== id) throw new PackageError('ERR_PACKAGE_MANIFEST', 'its modules are of two apps');
    for (const permission of manifest.permissions) asked.add(permission);
  }
  return [...asked].sort();
}
