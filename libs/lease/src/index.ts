export { entryHash, follows, LOG_START, type LogPosition } from './chain.ts';
export {
  type ContextRefusal,
  checkContext,
  checkFacts,
  compareVersions,
  isBelow,
  isRefusedVersion,
  refusesVersion,
  type StandingEvidence,
} from './context-rule.ts';
export { type Effect, effectOn, type Revocable } from './effect.ts';
export { type BeatMark, type Clocks, LeaseClock, MAX_DRIFT_MS } from './lease-clock.ts';
export {
  type AnewReason,
  type ApplyEntry,
  type FollowerListener,
  type Judgement,
  LogFollower,
  type ReadChannel,
} from './log-follower.ts';
export { type CountryRule, fitsCountry, fitsNetwork, type NetworkRule } from './network-rule.ts';
export { judgePath, type PathVerdict } from './path-rule.ts';
export { processClocks } from './process-clocks.ts';
export { isAsStrong, withProven } from './proven.ts';
