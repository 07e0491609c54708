import type { Tally } from '../tally.ts';

/** How large a run is. */
export interface Scale {
  readonly seed: number;
  readonly sessions: number;
  readonly rounds: number;
  /** How long it goes on, where that is what counts. */
  readonly minutes?: number;
}

/** Something that is shown with faults. */
export interface Scenario {
  readonly about: string;
  /** It takes long even in its short form, and is no part of `npm test`. */
  readonly onlyByHand?: true;
  /** Sizes of a short run, and of the one that the docs report. */
  readonly short: Omit<Scale, 'seed'>;
  readonly long: Omit<Scale, 'seed'>;
  run(scale: Scale): Promise<Tally>;
}
