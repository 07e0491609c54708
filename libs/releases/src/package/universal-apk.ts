/** The commands that make the APK for all devices of an app bundle, `universal.apk`, with Google's bundletool; names as a shell takes them. */
export function universalApk(bundle: string, apks: string): string {
  const key = '--ks=KEYSTORE --ks-key-alias=ALIAS';
  return `bundletool build-apks --mode=universal --bundle=${bundle} --output=${apks} ${key} && unzip ${apks} universal.apk`;
}
