import { pathOnly } from '@sallyport/channel';
import { isPlainPrefix, PLAIN_PATH, READING_STEPS, type ReadingStep } from './path-readings.ts';

/**
 * What prefixes of policies say of a path: it lies under one of them however a backend reads it, it lies under none as it stands,
 * or some reading leads out of all of them (`differs`, with what was read differently, in words).
 */
export type PathVerdict = (
  | { readonly verdict: 'inside' | 'outside' }
  | { readonly verdict: 'differs'; readonly when: string }
) & {
  /** Characters of all readings that were looked at: what the answer has cost. */
  readonly characters: number;
};

/** Readings and characters that are looked at for one path; what has more of them is refused as it cannot be judged. */
const MAX_READINGS = 128;
const MAX_CHARACTERS = 32_768;

const INSIDE = { verdict: 'inside', characters: 0 } as const;
const OUTSIDE = { verdict: 'outside', characters: 0 } as const;

/** What the steps that are done to prefixes change; a prefix without any of it is the same in every reading. */
const READ_ALONG = /[%:]|[^\x20-\x7e]/;

/** A path as somebody reads it, with the prefixes read likewise. */
interface Reading {
  readonly path: string;
  /** Prefixes that no step changes: they may be many, and cost a look each. */
  readonly fixed: readonly string[];
  readonly prefixes: readonly string[];
}

/**
 * Holds a path against prefixes in every way in which a backend may read it: with each of the steps of `READING_STEPS`, in any order and
 * as often as they change anything. Prefixes that mean more than one thing match nothing.
 * @param path with or without a query, by the `exact` grammar at least
 */
export function judgePath(path: string, prefixes: readonly string[]): PathVerdict {
  const plain = prefixes.filter(isPlainPrefix).map(inCapitals);
  const start: Reading = {
    path: inCapitals(pathOnly(path)),
    fixed: plain.filter((prefix) => !READ_ALONG.test(prefix)),
    prefixes: plain.filter((prefix) => READ_ALONG.test(prefix)),
  };
  if (!isUnder(start)) return OUTSIDE;
  // Most paths have one reading only.
  return PLAIN_PATH.test(start.path) ? INSIDE : judgeReadings(start);
}

function judgeReadings(start: Reading): PathVerdict {
  const readings = [start];
  const known = new Set([keyOf(start)]);
  let characters = 0;
  for (const reading of readings) {
    characters += reading.path.length;
    if (readings.length > MAX_READINGS || characters > MAX_CHARACTERS)
      return { verdict: 'differs', when: 'it is read in all of too many ways', characters };
    for (const next of readingsOf(reading)) {
      const key = keyOf(next);
      if (known.has(key)) continue;
      if (!isUnder(next)) return { verdict: 'differs', when: next.when, characters };
      known.add(key);
      readings.push(next);
    }
  }
  return { verdict: 'inside', characters };
}

function readingsOf(reading: Reading): (Reading & { readonly when: string })[] {
  return READING_STEPS.filter(({ of }) => of.test(reading.path)).map((step) => readBy(step, reading));
}

function readBy({ when, read, ofPrefixes }: ReadingStep, reading: Reading): Reading & { readonly when: string } {
  const path = read(reading.path);
  return {
    when,
    path: path.startsWith('/') ? path : `/${path}`,
    fixed: reading.fixed,
    prefixes: ofPrefixes ? reading.prefixes.map(read) : reading.prefixes,
  };
}

function keyOf({ path, prefixes }: Reading): string {
  return prefixes.length === 0 ? path : `${path}\n${prefixes.join('\n')}`;
}

/** Escapes with capital digits (RFC 3986, section 6.2.2.1). */
function inCapitals(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (coded) => coded.toUpperCase());
}

/** True when a path is one of the prefixes or goes on behind a slash of it. */
function isUnder({ path, fixed, prefixes }: Reading): boolean {
  const covers = (prefix: string): boolean => {
    if (!path.startsWith(prefix)) return false;
    const whole = path.length === prefix.length || prefix.endsWith('/') || prefix.endsWith('%2F');
    return whole || path[prefix.length] === '/';
  };
  return fixed.some(covers) || prefixes.some(covers);
}
