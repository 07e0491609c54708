import { pick, randomFrom } from './random.ts';

/** Which scenarios a run of tests shows. */
export interface Turn {
  readonly names: ReadonlySet<string>;
  /** What else has to be said about it; undefined where it shows all. */
  readonly words: string | undefined;
}

/** In its short form a run of tests shows so many scenarios, which its seed draws; in its long form all. */
export function turnOf(
  all: readonly string[],
  { count, seed }: { readonly count: number | undefined; readonly seed: number },
): Turn {
  if (count === undefined) return { names: new Set(all), words: undefined };
  const random = randomFrom(seed);
  const names = new Set<string>();
  while (names.size < Math.min(count, all.length))
    names.add(
      pick(
        random,
        all.filter((name) => !names.has(name)).map((name) => [1, name]),
      ),
    );
  const again = `TEST_SEED=${seed} draws them again, TEST_FORM=long takes all`;
  return { names, words: `this run shows ${[...names].sort().join(', ')}: ${again}` };
}
