import type { ReleaseInput, Rollout, RolloutChange } from '@sallyport/security-api';
import { AccessError } from '../store/errors.ts';
import { advanced, percentNow, resumed } from './rollout.ts';
import type { AppRow, ChannelDeviceRow, ReleaseRow } from './rows.ts';

/** The channel of releases that everybody is on. */
export const STABLE = 'stable';
/** Percent of bad reports above which a rollout halts, unless somebody says otherwise. */
const HALT_ABOVE_PERCENT = 20;

/** Rollouts of a release by the channels that it is on. */
export type Rollouts = Readonly<Record<string, Rollout>>;

/** Rollouts of a release by its channels. */
export function rolloutsOf({ rollout, channels }: Pick<ReleaseRow, 'rollout' | 'channels'>): Rollouts {
  return { ...(rollout.steps.length > 0 ? { [STABLE]: rollout } : {}), ...channels };
}

/** The columns of a release that hold these rollouts. */
export function rolloutColumns(rollouts: Rollouts): Pick<ReleaseRow, 'rollout' | 'channels'> {
  const { [STABLE]: stable, ...named } = rollouts;
  const nowhere = { steps: [], groups: null, haltAbovePercent: HALT_ABOVE_PERCENT, haltedAt: null, haltedWhy: null };
  return { rollout: stable ?? nowhere, channels: Object.keys(named).length > 0 ? named : null };
}

/** The same rollouts, each as `change` makes it. */
export function eachRollout(rollouts: Rollouts, change: (rollout: Rollout) => Rollout): Rollouts {
  return Object.fromEntries(Object.entries(rollouts).map(([channel, rollout]) => [channel, change(rollout)]));
}

/** Who asks what is rolled out to them. */
export interface ChannelAsker {
  /** Of the user. */
  readonly groups: readonly string[];
  /** Where the installation is by itself, whatever its user's groups are. */
  readonly own: readonly Pick<ChannelDeviceRow, 'appId' | 'channel'>[];
}

/** Channels of an app on which somebody is: by one of their groups, or by the installation itself. */
function channelsFor({ id, channels }: Pick<AppRow, 'id' | 'channels'>, { groups, own }: ChannelAsker): string[] {
  const isOn = ([name, who]: [string, readonly string[]]): boolean =>
    who.some((group) => groups.includes(group)) || own.some((one) => one.appId === id && one.channel === name);
  const named = Object.entries(channels ?? {}).filter(isOn);
  return [STABLE, ...named.map(([name]) => name)];
}

/** Rollouts of a release that are for somebody, by their channels. */
export function rolloutsFor(
  app: Pick<AppRow, 'id' | 'channels'>,
  release: Pick<ReleaseRow, 'rollout' | 'channels'>,
  asker: ChannelAsker,
): Rollouts {
  const { groups } = asker;
  const own = new Set(channelsFor(app, asker));
  const isFor = ([channel, rollout]: [string, Rollout]): boolean =>
    own.has(channel) && (rollout.groups === null || rollout.groups.some((group) => groups.includes(group)));
  return Object.fromEntries(Object.entries(rolloutsOf(release)).filter(isFor));
}

/** The part of the installations of each of its channels that a release is rolled out to now, percent. */
export function percentsNow(release: Pick<ReleaseRow, 'rollout' | 'channels'>, now: number): Record<string, number> {
  const all = Object.entries(rolloutsOf(release));
  return Object.fromEntries(all.map(([channel, rollout]) => [channel, percentNow(rollout, now)]));
}

/** A rollout as it is asked for: its steps count from when it begins. */
export function rolloutFrom({
  steps = [{ percent: 100, afterMs: 0 }],
  groups,
  haltAbovePercent = HALT_ABOVE_PERCENT,
}: NonNullable<ReleaseInput['rollout']> = {}): Rollout {
  const relative = steps.map(({ percent, afterMs }) => ({ percent, at: afterMs }));
  return { steps: relative, groups: groups ?? null, haltAbovePercent, haltedAt: null, haltedWhy: null };
}

/** A rollout that begins at a moment, epoch ms. */
export function begunAt(rollout: Rollout, now: number): Rollout {
  return { ...rollout, steps: rollout.steps.map(({ percent, at }) => ({ percent, at: now + at })) };
}

/** @throws AccessError ERR_ACCESS_NOT_FOUND for a channel that the app does not have */
export function checkChannel({ id, channels }: Pick<AppRow, 'id' | 'channels'>, channel: string): void {
  if (channel === STABLE || Object.hasOwn(channels ?? {}, channel)) return;
  throw new AccessError(
    'ERR_ACCESS_NOT_FOUND',
    `${id} has no channel ${channel}: app put … --channel ${channel}=group`,
  );
}

/**
 * Rollouts after a change of one of them: of the channel that is named, else of the only one; a halt and what ends it are for all. Steps on
 * a channel that the release is not on yet begin it there.
 * @throws AccessError ERR_ACCESS_INVALID, ERR_ACCESS_CONFLICT
 */
export function changedRollouts(
  rollouts: Rollouts,
  wanted: RolloutChange,
  { now, why }: { readonly now: number; readonly why: string },
): Rollouts {
  const { steps, groups, haltAbovePercent, channel } = wanted;
  if (wanted.do === 'steps' && !steps) throw new AccessError('ERR_ACCESS_INVALID', 'a rollout has steps');
  if (wanted.do === 'steps' && channel !== undefined && !Object.hasOwn(rollouts, channel)) {
    const asked = { steps: steps!, ...(groups ? { groups } : {}), ...(haltAbovePercent ? { haltAbovePercent } : {}) };
    return { ...rollouts, [channel]: begunAt(rolloutFrom(asked), now) };
  }
  const meant = channelsMeant(rollouts, wanted);
  const changed = meant.map((name) => [name, changedRollout(rollouts[name]!, wanted, { now, why })] as const);
  return { ...rollouts, ...Object.fromEntries(changed) };
}

function channelsMeant(rollouts: Rollouts, wanted: RolloutChange): string[] {
  const all = Object.keys(rollouts);
  const { channel } = wanted;
  if (channel !== undefined) {
    if (Object.hasOwn(rollouts, channel)) return [channel];
    throw new AccessError('ERR_ACCESS_CONFLICT', `the release is not on ${channel}: begin it there with steps`);
  }
  if (all.length === 1 || wanted.do === 'halt' || wanted.do === 'resume') return all;
  throw new AccessError('ERR_ACCESS_INVALID', `the release is on ${all.join(' and ')}: say which of them is meant`);
}

function changedRollout(
  rollout: Rollout,
  wanted: RolloutChange,
  { now, why }: { readonly now: number; readonly why: string },
): Rollout {
  switch (wanted.do) {
    case 'halt':
      return rollout.haltedAt === null ? { ...rollout, haltedAt: now, haltedWhy: why } : rollout;
    case 'resume':
      return resumed(rollout, now);
    case 'advance':
      return advanced(rollout, now);
    case 'steps':
      return {
        ...rollout,
        steps: begunAt(rolloutFrom({ steps: wanted.steps! }), now).steps,
        ...(wanted.groups ? { groups: wanted.groups } : {}),
        ...(wanted.haltAbovePercent ? { haltAbovePercent: wanted.haltAbovePercent } : {}),
      };
  }
}
