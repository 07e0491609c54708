import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type MadePart, makeZip } from './zip-maker.ts';

const run = promisify(execFile);
const FRAMEWORK = '/usr/share/android-framework-res/framework-res.apk';

/** A certificate and its key, as files. */
export interface ApkKey {
  readonly key: string;
  readonly certificate: string;
}

/** What an Android manifest says. */
export interface MadeManifest {
  readonly id: string;
  readonly version: string;
  readonly build: number;
  readonly minSdk?: number;
  /** Random bytes that are in it besides. */
  readonly padding?: number;
}

function writeManifest(folder: string, { id, version, build, minSdk = 26 }: MadeManifest): string {
  const manifest = join(folder, 'AndroidManifest.xml');
  writeFileSync(
    manifest,
    `<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="${id}" android:versionCode="${build}" android:versionName="${version}">
      <uses-sdk android:minSdkVersion="${minSdk}"/>
      <uses-permission android:name="android.permission.INTERNET"/><uses-permission android:name="android.permission.CAMERA"/>
      <application android:label="Field" android:hasCode="false"><activity android:name="x.Main"/></application>
    </manifest>`,
  );
  return manifest;
}

/** Makes an APK that nobody has signed, with aapt and zipalign of the Android Open Source Project. */
export async function makeApk(folder: string, made: MadeManifest): Promise<string> {
  const manifest = writeManifest(folder, made);
  const { version, padding = 0 } = made;
  const [packed, aligned] = [join(folder, `${version}.made.apk`), join(folder, `${version}.apk`)];
  await run('aapt', ['package', '-f', '-M', manifest, '-I', FRAMEWORK, '-F', packed]);
  if (padding > 0) {
    writeFileSync(join(folder, 'film.bin'), randomBytes(padding));
    await run('aapt', ['add', packed, 'film.bin'], { cwd: folder });
  }
  await run('zipalign', ['-f', '4', packed, aligned]);
  return aligned;
}

/** Makes the parts of an app bundle, as aapt2 of the Android Open Source Project writes them. */
export async function makeBundle(folder: string, made: MadeManifest): Promise<MadePart[]> {
  const base = join(folder, `${made.version}.base`);
  const link = ['link', '--proto-format', '--output-to-dir', '-I', FRAMEWORK, '-o', base];
  mkdirSync(base, { recursive: true });
  await run('aapt2', [...link, '--manifest', writeManifest(folder, made)]);
  const version = Buffer.from('1.15.6');
  return [
    {
      name: 'BundleConfig.pb',
      content: Buffer.concat([Buffer.of(10, version.length + 2, 18, version.length), version]),
    },
    { name: 'base/manifest/AndroidManifest.xml', content: readFileSync(join(base, 'AndroidManifest.xml')) },
    { name: 'base/resources.pb', content: readFileSync(join(base, 'resources.pb')) },
  ];
}

/** Signs an app bundle as a JAR file, with apksigner. */
export async function signBundle(parts: readonly MadePart[], to: string, by: ApkKey): Promise<string> {
  const unsigned = `${to}.unsigned`;
  writeFileSync(unsigned, makeZip(parts));
  const others = ['v2', 'v3', 'v4'].flatMap((scheme) => [`--${scheme}-signing-enabled`, 'false']);
  const scheme = ['--min-sdk-version', '24', '--v1-signing-enabled', 'true', ...others];
  await run('apksigner', ['sign', ...keyArguments(by), ...scheme, '--out', to, unsigned]);
  return to;
}

/** Makes a key of P-256 with a certificate of its own. */
export async function makeApkKey(folder: string, name: string): Promise<ApkKey> {
  const [pem, key, certificate] = [`${name}.pem`, `${name}.pk8`, `${name}.crt`].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3650'];
  await run('openssl', ['req', '-x509', ...kind, '-keyout', pem, '-out', certificate, '-subj', `/CN=${name}`]);
  await run('openssl', ['pkcs8', '-topk8', '-nocrypt', '-in', pem, '-outform', 'DER', '-out', key]);
  return { key, certificate };
}

function keyArguments({ key, certificate }: ApkKey): string[] {
  return ['--key', key, '--cert', certificate];
}

/** Signs an APK with apksigner, by schemes v2 and v3. */
export async function signApk(apk: string, to: string, by: ApkKey, more: readonly string[] = []): Promise<string> {
  // Scheme v1 signs parts inside of the package, which would differ by signer; Android looks at it below API 24 only.
  const common = ['--min-sdk-version', '24', '--v1-signing-enabled', 'false', '--v4-signing-enabled', 'false', ...more];
  await run('apksigner', ['sign', ...keyArguments(by), ...common, '--out', to, apk]);
  return to;
}

/** Signs an APK by a newer key, which the older one hands on. */
export async function signRotated(apk: string, to: string, [older, newer]: readonly [ApkKey, ApkKey]): Promise<string> {
  const lineage = `${to}.lineage`;
  const handOn = ['--old-signer', ...keyArguments(older), '--new-signer', ...keyArguments(newer)];
  await run('apksigner', ['rotate', '--out', lineage, ...handOn]);
  const next = ['--next-signer', ...keyArguments(newer), '--lineage', lineage];
  return signApk(apk, to, older, next);
}
