import { PackageError } from '../errors.ts';
import { APK_MANIFEST, readApk } from './apk.ts';
import { BUNDLE_CONFIG } from './app-bundle.ts';
import type { ByteSource } from './byte-source.ts';
import type { PackageFacts } from './facts.ts';
import { findIosInfo, readIpa } from './ipa.ts';
import { universalApk } from './universal-apk.ts';
import { readWebApp, WEB_MANIFEST } from './web-app.ts';
import { readZip } from './zip.ts';

/** What no device installs, by a part that it has, and how a package is made of it. */
const ADVICE: readonly (readonly [name: string, words: string])[] = [
  [
    BUNDLE_CONFIG,
    `it is an app bundle (AAB), which no device installs: ${universalApk('app.aab', 'app.apks')} makes the APK to publish`,
  ],
  [
    'toc.pb',
    'it is a set of APKs, each for some devices: unzip app.apks universal.apk takes out the one to publish; where there is none, publish ' +
      'the app bundle, which says what makes it',
  ],
];

/**
 * Reads what a package is out of itself: an APK whose signatures hold, an IPA, or the zip file of a web app. At most some MiB of it are in memory
 * at a time.
 * @throws PackageError
 */
export async function readPackage(source: ByteSource): Promise<PackageFacts> {
  const zip = await readZip(source);
  const ios = findIosInfo(zip);
  const manifests = [APK_MANIFEST, WEB_MANIFEST, ...(ios === undefined ? [] : [ios])].filter((name) =>
    zip.entries.has(name),
  );
  if (manifests.length > 1) throw new PackageError('ERR_PACKAGE_FORMAT', 'it is a package of two kinds');
  if (manifests[0] === APK_MANIFEST) return readApk(zip);
  if (manifests[0] === WEB_MANIFEST) return readWebApp(zip);
  if (ios !== undefined) return readIpa(zip, ios);
  const advice = ADVICE.find(([name]) => zip.entries.has(name))?.[1];
  if (advice !== undefined) throw new PackageError('ERR_PACKAGE_FORMAT', advice);
  throw new PackageError(
    'ERR_PACKAGE_FORMAT',
    `it has no ${APK_MANIFEST}, no Info.plist of an app and no ${WEB_MANIFEST}`,
  );
}
