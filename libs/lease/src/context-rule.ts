import { type AppContext, formatHex } from '@sallyport/channel';
import type { AttestedRule, ContextRule, EvidenceLevel } from '@sallyport/security-api';
import { isAsStrong } from './proven.ts';

/** Compares dotted numbers number by number; a missing one counts as 0. Negative when `a` is lower. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a, b].map((text) => text.split('.').map(Number));
  for (let i = 0; i < Math.max(x!.length, y!.length); i++) {
    const difference = (x![i] ?? 0) - (y![i] ?? 0);
    if (Number.isNaN(difference)) return -1;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Why a context does not fit a rule. */
export type ContextRefusal = 'APP_UPDATE_REQUIRED' | 'CONTEXT_DENIED' | 'ATTESTATION_REQUIRED';

/** Evidence as it counts at a moment. */
export interface StandingEvidence {
  readonly level: EvidenceLevel;
  readonly ageMs: number;
}

/**
 * Checks an app context, and the evidence behind it, against a rule; undefined when all of it fits. A fact the device does not know never
 * fits. Evidence is looked at last: fresh evidence is asked for only where everything else fits.
 */
export function checkContext(
  rule: ContextRule,
  context: AppContext,
  evidence?: StandingEvidence,
): ContextRefusal | undefined {
  return checkFacts(rule, context) ?? checkEvidence(rule.attested, evidence);
}

/** The part of a rule that is about what a context says, whoever vouches for it. */
export function checkFacts(rule: ContextRule, context: AppContext): ContextRefusal | undefined {
  const app = checkApp(rule.apps, context);
  if (app) return app;
  if (rule.os && !(context.os && rule.os.includes(context.os))) return 'CONTEXT_DENIED';
  if (rule.minOsVersion && isBelow(context.osVersion, rule.minOsVersion)) return 'CONTEXT_DENIED';
  if (rule.minOsPatch && !isPatchedSince(context.osPatch, rule.minOsPatch)) return 'CONTEXT_DENIED';
  return !rule.posture || fitsPosture(rule.posture, context) ? undefined : 'CONTEXT_DENIED';
}

function fitsPosture(posture: NonNullable<ContextRule['posture']>, context: AppContext): boolean {
  return Object.entries(posture).every(
    ([fact, wanted]) => context.posture[fact as keyof AppContext['posture']] === wanted,
  );
}

function checkEvidence(
  rule: AttestedRule | undefined,
  evidence: StandingEvidence | undefined,
): ContextRefusal | undefined {
  if (!rule) return undefined;
  const counts = evidence && isAsStrong(evidence.level, rule.level) && evidence.ageMs <= rule.withinMs;
  return counts ? undefined : 'ATTESTATION_REQUIRED';
}

/** A patch of a month counts from its first day; one that is not known, or no date, is older than any. */
function isPatchedSince(osPatch: string, least: string): boolean {
  return /^\d{4}-\d{2}(-\d{2})?$/.test(osPatch) && osPatch.padEnd(10, '-01') >= least.padEnd(10, '-01');
}

/** A version that is not known, or no numbers with dots, is below every other one. */
export function isBelow(version: string, least: string): boolean {
  return !/^\d+(\.\d+)*$/.test(version) || compareVersions(version, least) < 0;
}

/** True for a version that a rule for its app refuses whatever its minimum is: it was revoked. */
export function isRefusedVersion(
  { notVersions, notBelow }: Pick<Apps[number], 'notVersions' | 'notBelow'>,
  version: string,
): boolean {
  return (notVersions?.includes(version) ?? false) || (notBelow !== undefined && isBelow(version, notBelow));
}

type Apps = NonNullable<ContextRule['apps']>;

/** What a list of apps said of the context that was held against it last: it is asked at every request of a channel. */
const judged = new WeakMap<Apps, { readonly context: AppContext; readonly refusal: ContextRefusal | undefined }>();

function checkApp(apps: ContextRule['apps'], context: AppContext): ContextRefusal | undefined {
  if (!apps) return undefined;
  const last = judged.get(apps);
  if (last?.context === context) return last.refusal;
  const refusal = refusalOfApps(apps, context);
  judged.set(apps, { context, refusal });
  return refusal;
}

/** True where the very version of the app is refused: who hears that can do something about it. */
export function refusesVersion({ apps }: ContextRule, { id, version }: AppContext): boolean {
  const app = apps?.find((one) => one.id === id);
  return app !== undefined && isRefusedVersion(app, version);
}

function refusalOfApps(apps: Apps, context: AppContext): ContextRefusal | undefined {
  const signer = formatHex(context.signer);
  const app = apps.find(({ id, signers }) => id === context.id && (!signers || signers.includes(signer)));
  if (!app || !runsOn(app, context) || isRefusedVersion(app, context.version)) return 'CONTEXT_DENIED';
  const old = app.minVersion !== undefined && isBelow(context.version, app.minVersion);
  return old ? 'APP_UPDATE_REQUIRED' : undefined;
}

function runsOn({ platforms }: Apps[number], { os, osVersion }: AppContext): boolean {
  if (!platforms) return true;
  const platform = platforms.find((one) => one.os === os);
  return platform !== undefined && !(platform.minOsVersion && isBelow(osVersion, platform.minOsVersion));
}
