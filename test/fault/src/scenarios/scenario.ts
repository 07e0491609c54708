import type { EarlierVersion } from '../earlier-version.ts';
import type { Tally } from '../tally.ts';

/** How large a run is. */
export interface Scale {
  readonly seed: number;
  readonly sessions: number;
  readonly rounds: number;
  /** How long it goes on, where that is what counts. */
  readonly minutes?: number;
  /** The version that the farm begins with, where a scenario takes one. */
  readonly before?: EarlierVersion;
}

type Size = Omit<Scale, 'seed' | 'before'>;

/** Something that is shown with faults. */
export interface Scenario {
  readonly about: string;
  /** It takes long even in its short form, and is no part of `npm test`. */
  readonly onlyByHand?: true;
  /** It can begin with an earlier version. */
  readonly takesBefore?: true;
  /** Sizes of a short run, and of the one that the docs report. */
  readonly short: Size;
  readonly long: Size;
  /** Rounds that one of many farms makes before it makes room for another one; few unless told otherwise. */
  readonly roundsOfAFarm?: number;
  run(scale: Scale): Promise<Tally>;
}
