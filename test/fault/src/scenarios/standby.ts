import { takeOverAndBack } from '../two-sites.ts';
import type { Scenario } from './scenario.ts';

/** A second site with only the replicated database takes over when the first one is killed whole, and gives back. */
export const standby: Scenario = {
  about:
    'the main site is killed whole, the standby site takes over by one command, the old one comes back and is refused, then it takes over again',
  short: { sessions: 1, rounds: 1 },
  long: { sessions: 1, rounds: 4 },
  run: (scale) => takeOverAndBack(scale, 'PostgreSQL'),
};

/** The same where the second site has a Patroni of its own, which decides who is the primary there. */
export const standbyPatroni: Scenario = {
  about: 'the same with Patroni at the standby site, whose standby cluster follows, is promoted, and follows again',
  onlyByHand: true,
  short: { sessions: 1, rounds: 1 },
  long: { sessions: 1, rounds: 2 },
  run: (scale) => takeOverAndBack(scale, 'Patroni'),
};
