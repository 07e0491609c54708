import { type BundleFacts, openFileSource, PackageError, readAppBundle, universalApk } from '@sallyport/releases';
import { releases } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import { CliError } from '../output.ts';

/**
 * Nothing is published of an app bundle, because no device installs one. What it says is held against the app all the same, so that whoever
 * makes the APK of it learns before whether that fits. Any other file passes.
 * @throws CliError for a bundle that fits, with what makes the APK of it; PackageError, AdminError for one that does not
 */
export async function refuseBundle(admin: AdminClient, file: string): Promise<void> {
  const bundle = await bundleIn(file);
  if (!bundle) return;
  const { os, id, version, build, signers } = bundle;
  await admin.call(releases.fit, { body: { os: 'android', id, version, build, signers: [...signers] } });
  const least = bundle.minOsVersion === '' ? os : `${os} ${bundle.minOsVersion} and later`;
  throw new CliError(
    `nothing was published: ${file} is an app bundle (AAB), which no device installs. It is ${id} ${version}, build ${build}, for ${least}, ` +
      `signed by ${signers.join(' and ')}, asks for ${bundle.permissions.join(', ') || 'nothing'}, and fits the app`,
    nextCommands(file),
  );
}

/** What a bundle says of itself; undefined for another package. */
async function bundleIn(file: string): Promise<BundleFacts | undefined> {
  const source = await openFileSource(file);
  try {
    return await readAppBundle(source);
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    throw new CliError(`the package is refused: ${error.message}`);
  } finally {
    await source.close();
  }
}

/** What makes the APK for all devices of a bundle and publishes that. */
function nextCommands(file: string): string {
  const made = quoted(`${file.replace(/\.aab$/i, '')}.apks`);
  return `with the key of the app: ${universalApk(quoted(file), made)} && sallyport app publish universal.apk`;
}

function quoted(text: string): string {
  return /^[A-Za-z0-9_./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
