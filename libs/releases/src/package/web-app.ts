import { PackageError } from '../errors.ts';
import type { PackageFacts } from './facts.ts';
import { checkParts, readPart, type Zip } from './zip.ts';

export const WEB_MANIFEST = 'manifest.webmanifest';

/**
 * Reads a web app: a folder as a zip file, whose manifest (W3C Web Application Manifest) names it by `id`, and has a `version` beside. Nobody
 * signs one.
 * @throws PackageError
 */
export async function readWebApp(zip: Zip): Promise<PackageFacts> {
  await checkParts(zip);
  const manifest = parse((await readPart(zip, zip.entries.get(WEB_MANIFEST)!)).toString('utf8'));
  const { id, version, build = '' } = manifest;
  if (typeof id !== 'string' || !/^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/.test(id))
    throw wrong('id is no id of an app');
  if (typeof version !== 'string' || !/^[0-9]{1,9}(\.[0-9]{1,9}){0,7}$/.test(version))
    throw wrong('version is no numbers with dots');
  if (typeof build !== 'string' || !/^[A-Za-z0-9.-]{0,32}$/.test(build)) throw wrong('build is no plain text');
  return { kind: 'web', os: 'browser', id, version, build, minOsVersion: '', signers: [], permissions: [] };
}

function parse(text: string): Record<string, unknown> {
  try {
    const manifest: unknown = JSON.parse(text);
    if (typeof manifest === 'object' && manifest !== null) return { ...manifest };
  } catch {}
  throw wrong('it is no JSON object');
}

function wrong(why: string): PackageError {
  return new PackageError('ERR_PACKAGE_MANIFEST', `the manifest cannot be read: ${why}`);
}
