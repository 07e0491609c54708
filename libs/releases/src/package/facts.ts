/** What a package says of itself, or its signature of it. Nothing of it was typed. */
export interface PackageFacts {
  readonly kind: 'apk' | 'ipa' | 'web';
  /** The system that it runs on, as an app context names it. */
  readonly os: 'android' | 'ios' | 'browser';
  readonly id: string;
  /** Numbers with dots. */
  readonly version: string;
  /** Of Android its `versionCode`, of iOS its `CFBundleVersion`. */
  readonly build: string;
  /** Lowest version of the system, as an app context has it; empty when it says none. */
  readonly minOsVersion: string;
  /** SHA-256 of the certificates of its signers, hex, the newest first; none where nobody signs. */
  readonly signers: readonly string[];
  /** What it asks the system for. */
  readonly permissions: readonly string[];
}
