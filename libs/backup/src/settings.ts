import type { Setting } from '@sallyport/settings';
import { DEFAULT_KEEP, parseKeepRule } from './keep.ts';
import { parseTargetPlace, type TargetPlace } from './place.ts';

export { DEFAULT_KEEP };

/** Comma-separated targets; absent: none. Which of them is wrong is said by its place, never by its text. */
export function backupTargets(about: string): Setting<readonly TargetPlace[]> {
  return { about, fallback: [], parse: (value) => placesOf(value.split(',').map((part) => part.trim())) };
}

function placesOf(texts: readonly string[]): readonly TargetPlace[] {
  const places = texts.map((text, index) => {
    try {
      return parseTargetPlace(text);
    } catch (error) {
      throw new TypeError(`target ${index + 1}: ${(error as Error).message}`);
    }
  });
  if (new Set(places.map(({ description }) => description)).size === places.length) return places;
  throw new TypeError('one target is named twice');
}

/** A folder of this machine, or a bucket as targets name one, which holds something else than backups; absent: undefined. */
export function folderOrBucket(about: string): Setting<string | TargetPlace | undefined> {
  const parse = (value: string): string | TargetPlace => (value.startsWith('s3:') ? parseTargetPlace(value) : value);
  return { about, fallback: undefined, parse };
}

/** Which exports are kept, as it is written. */
export function backupKeep(about: string, fallback: string): Setting<string> {
  const parse = (text: string): string => {
    parseKeepRule(text);
    return text;
  };
  return { about, fallback, parse };
}
