import { UPDATE_AUTHORITY } from '@sallyport/channel';
import { compareVersions } from '@sallyport/lease';
import type { AccessRule, ContextRule, ResourceGrant } from '@sallyport/security-api';
import { type BlockedVersions, foldVersions } from './blocked-versions.ts';
import type { AppRow, ReleaseRow } from './rows.ts';

/** What a rule asks of one app. */
export type AppDemand = NonNullable<ContextRule['apps']>[number];

/** Who uses an app, as which a device enrolled or signed in. */
export interface AppUse {
  /** Id of the app. */
  readonly id: string;
  /** Groups of the user. */
  readonly groups: readonly string[];
  /** The store's clock, epoch ms. */
  readonly now: number;
}

/** The id of an app in `id@version`. */
export function appIdOf(app: string): string {
  const end = app.lastIndexOf('@');
  return end === -1 ? app : app.slice(0, end);
}

/** The app that a device is which runs a release: `id@version`. */
export function appVersionOf({ appId, package: { version } }: Pick<ReleaseRow, 'appId' | 'package'>): string {
  return `${appId}@${version}`;
}

/** A registered app that a member of the groups may use; undefined for any other. */
export function usableApp(apps: readonly AppRow[], { id, groups }: Pick<AppUse, 'id' | 'groups'>): AppRow | undefined {
  const app = apps.find((row) => row.id === id && row.removedAt === null);
  const isEntitled = app && (app.groups === null || app.groups.some((group) => groups.includes(group)));
  return isEntitled ? app : undefined;
}

/**
 * The realm's rule for whoever uses an app: what the realm says of all, and that it is this app, registered, signed, on a system and
 * in a version as its record says. An app that is not registered, or not for these groups, fits no context at all.
 */
export function ruleForApp(realm: ContextRule, apps: readonly AppRow[], use: AppUse): ContextRule {
  const app = usableApp(apps, use);
  const demand = app && demandOf(app, use.now);
  if (!demand) return { ...realm, apps: [] };
  if (!realm.apps) return { ...realm, apps: [demand] };
  return { ...realm, apps: realm.apps.flatMap((other) => bothOf(demand, other)) };
}

/** When a rule made now will be another one by itself, epoch ms; undefined for never. */
export function ruleChangesAt(apps: readonly AppRow[], { id, groups, now }: AppUse): number | undefined {
  const from = usableApp(apps, { id, groups })?.minimum?.from;
  return from !== undefined && from > now ? from : undefined;
}

function demandOf({ id, signers, platforms, minimum, blocked, blockedBelow }: AppRow, now: number): AppDemand {
  return {
    id,
    ...(signers.length > 0 ? { signers: [...signers] } : {}),
    ...(platforms.length > 0 ? { platforms: [...platforms] } : {}),
    ...(minimum && minimum.from <= now ? { minVersion: minimum.version } : {}),
    ...withoutVersions({ blocked, blockedBelow }),
  };
}

/** True for the resource by which apps get their updates. */
export function isUpdates({ kind, authority }: Pick<ResourceGrant, 'kind' | 'authority'>): boolean {
  return kind === 'http' && authority === UPDATE_AUTHORITY;
}

/** A rule for apps without its lowest versions: what a version that is too old still has to be. */
export function ruleForOld(rule: ContextRule): ContextRule {
  return rule.apps ? { ...rule, apps: rule.apps.map(({ minVersion: _, ...app }) => app) } : rule;
}

/** True for a rule that refuses versions for being too old. */
export function hasMinimum({ apps }: ContextRule): boolean {
  return apps?.some(({ minVersion }) => minVersion !== undefined) ?? false;
}

/**
 * What a grant says so that a version which is too old gets its update, and nothing else: the lowest version moves from the rule of all
 * to every rule of every resource but updates. Whoever is not let to updates is refused by the rule of all, as before.
 */
export function openToUpdate(
  rule: ContextRule,
  resources: readonly ResourceGrant[],
): { readonly context: ContextRule; readonly resources: ResourceGrant[] } {
  if (!hasMinimum(rule) || !resources.some(isUpdates)) return { context: rule, resources: [...resources] };
  return {
    context: ruleForOld(rule),
    resources: resources.map((one) =>
      isUpdates(one) ? one : { ...one, rules: one.rules.map((each) => withApps(each, rule.apps!)) },
    ),
  };
}

function withApps(rule: AccessRule, demands: readonly AppDemand[]): AccessRule {
  const { apps: own } = rule.context;
  const apps = own ? own.flatMap((one) => demands.flatMap((demand) => bothOf(demand, one))) : [...demands];
  return { ...rule, context: { ...rule.context, apps } };
}

/** What asks for both; none for different apps. */
function bothOf(app: AppDemand, realm: AppDemand): AppDemand[] {
  if (app.id !== realm.id) return [];
  const signers =
    app.signers && realm.signers
      ? app.signers.filter((one) => realm.signers!.includes(one))
      : (app.signers ?? realm.signers);
  const [lower, higher = lower] = [app.minVersion, realm.minVersion]
    .filter((version) => version !== undefined)
    .sort(compareVersions);
  const platforms = app.platforms && realm.platforms ? bothPlatforms(app.platforms, realm.platforms) : undefined;
  return [
    {
      id: app.id,
      ...(signers ? { signers } : {}),
      ...withPlatforms(platforms ?? app.platforms ?? realm.platforms),
      ...(higher === undefined ? {} : { minVersion: higher }),
      ...withoutVersions(
        foldVersions(
          [...(app.notVersions ?? []), ...(realm.notVersions ?? [])],
          higherOf(app.notBelow, realm.notBelow),
        ),
      ),
    },
  ];
}

function withoutVersions({ blocked, blockedBelow }: BlockedVersions): Pick<AppDemand, 'notVersions' | 'notBelow'> {
  return {
    ...(blocked ? { notVersions: [...blocked] } : {}),
    ...(blockedBelow === null ? {} : { notBelow: blockedBelow }),
  };
}

function higherOf(...versions: (string | undefined)[]): string | null {
  return (
    versions
      .filter((version) => version !== undefined)
      .sort(compareVersions)
      .at(-1) ?? null
  );
}

type Platforms = NonNullable<AppDemand['platforms']>;

function withPlatforms(platforms: Platforms | undefined): Pick<AppDemand, 'platforms'> {
  return platforms ? { platforms } : {};
}

/** Systems that both take, each from the higher of both versions. */
function bothPlatforms(a: Platforms, b: Platforms): Platforms {
  return a.flatMap(({ os, minOsVersion: one }) => {
    const other = b.find((platform) => platform.os === os);
    if (!other) return [];
    const [lower, higher = lower] = [one, other.minOsVersion]
      .filter((version) => version !== undefined)
      .sort(compareVersions);
    return [{ os, ...(higher === undefined ? {} : { minOsVersion: higher }) }];
  });
}
