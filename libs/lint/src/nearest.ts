/** A name that is farther than this share of its letters is another one. */
const MAX_SHARE = 0.34;

/** The known name that somebody has meant; undefined when none is near. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let [nearest, least]: [string | undefined, number] = [undefined, Math.max(2, name.length * MAX_SHARE)];
  for (const one of known) {
    const steps = isBeginning(name, one) ? 1 : stepsBetween(name, one);
    if (steps < least) [nearest, least] = [one, steps];
  }
  return nearest;
}

/** True for a name that is the beginning of the other: a word was left out, or is too much. */
function isBeginning(name: string, other: string): boolean {
  return other.startsWith(`${name}_`) || name.startsWith(`${other}_`);
}

/** How many letters must be put in, taken out or replaced (Levenshtein). */
function stepsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, replaced));
    }
    row = next;
  }
  return row.at(-1)!;
}
