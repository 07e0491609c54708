import type { ReleaseDocument } from '@sallyport/device';

const NAME = 'sallyport.apps';

/** Which versions of apps this browser has handed to its user. It is shown, and decides nothing. */
export class AppShelf {
  #kept: Readonly<Record<string, string>> = readKept();

  /** The version that was handed over of an app for a system; undefined for none. */
  versionOf(release: Pick<ReleaseDocument, 'app' | 'os'>): string | undefined {
    const name = nameOf(release);
    return Object.hasOwn(this.#kept, name) ? this.#kept[name] : undefined;
  }

  keep(release: Pick<ReleaseDocument, 'app' | 'os' | 'version'>): void {
    this.#kept = { ...this.#kept, [nameOf(release)]: release.version };
    localStorage.setItem(NAME, JSON.stringify(this.#kept));
  }
}

function nameOf({ app, os }: Pick<ReleaseDocument, 'app' | 'os'>): string {
  return `${os} ${app}`;
}

function readKept(): Readonly<Record<string, string>> {
  try {
    return { ...JSON.parse(localStorage.getItem(NAME) ?? '{}') };
  } catch {
    return {};
  }
}

/** True for a version above another one, number by number. */
export function isNewer(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (let i = 0; i < Math.max(a.length, b.length); i++)
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
  return false;
}

/** The note in the first of the languages that there is one in, else in English, else any; undefined where there is none. */
export function noteIn(
  notes: Readonly<Record<string, string>>,
  languages: readonly string[],
): { readonly language: string; readonly text: string } | undefined {
  const wanted = languages.flatMap((language) => [language, language.split('-')[0]!]);
  const [first] = Object.keys(notes);
  const language = [...wanted, 'en'].find((one) => Object.hasOwn(notes, one)) ?? first;
  return language === undefined ? undefined : { language, text: notes[language]! };
}

/** The system of a phone, by what its browser says of itself; undefined for a computer. */
export function systemOf(userAgent: string): 'android' | 'ios' | undefined {
  if (/android/i.test(userAgent)) return 'android';
  return /iphone|ipad|ipod/i.test(userAgent) ? 'ios' : undefined;
}

const SYSTEMS: Readonly<Record<string, string>> = { android: 'Android', ios: 'iOS', browser: 'web' };

/** What a release runs on, for people. */
export function systemWords({ os, minOsVersion }: Pick<ReleaseDocument, 'os' | 'minOsVersion'>): string {
  const system = SYSTEMS[os] ?? os;
  return minOsVersion === '' ? system : `${system} ${minOsVersion}+`;
}

/** A size for people. */
export function sizeWords(bytes: number): string {
  if (bytes < 1_000_000) return `${Math.ceil(bytes / 1_000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
