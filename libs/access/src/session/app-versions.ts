import { compareVersions } from '@sallyport/lease';
import type { ReleaseRow } from '../apps/rows.ts';
import type { AccessContext } from '../realm/context.ts';
import { blockedApps } from '../revocation/revocation.ts';
import { missing } from '../store/missing.ts';

/** A version of an app on a system: one that the realm knows, or one that installations say they are. */
export interface AppVersion {
  readonly version: string;
  /** Null of installations that never said theirs. */
  readonly os: string | null;
  /** Installations that last signed in with it. */
  readonly running: number;
  /** Installations that were refused with it, and have not signed in since. */
  readonly refused: number;
  /** What the realm knows of it: the state of its release, or that there is none. */
  readonly known: ReleaseRow['state'] | 'unknown';
  /** True while it was revoked: nobody signs in with it. */
  readonly blocked: boolean;
  /** True for one below the minimum of its app, once that is due. */
  readonly tooOld: boolean;
}

/**
 * Versions of an app that installations run or were refused with, whether the realm knows them or not, and those of its releases; the most
 * common first, not more than `limit`.
 * @throws AccessError ERR_ACCESS_NOT_FOUND
 */
export function appVersions({ store }: AccessContext, appId: string, limit: number): Promise<readonly AppVersion[]> {
  return store.transaction(async (transaction) => {
    const { apps, releases, installations } = transaction.tables;
    const [app, rows, tallied, refusals] = await Promise.all([
      apps.find({ id: appId }),
      releases.list({ where: { appId } }),
      installations.tally(['app', 'os'], { where: { status: 'active' } }),
      installations.tally(['refusedApp', 'os'], { among: ['status', ['active', 'pending']] }),
    ]);
    if (app?.removedAt !== null) throw missing('app', appId);
    const counted = (text: string | null | undefined, os: string | null | undefined): VersionOn[] =>
      text?.startsWith(`${appId}@`) ? [{ version: text.slice(appId.length + 1), os: os ?? null }] : [];
    const said = tallied
      .flatMap((one) => counted(one.app, one.os).map((on) => ({ ...on, running: one.count })))
      .sort((a, b) => b.running - a.running);
    const refused = refusals.flatMap((one) =>
      counted(one.refusedApp, one.os).map((on) => ({ ...on, running: 0, refused: one.count })),
    );
    const unused = [...refused, ...rows.map(({ package: { version, os } }) => ({ version, os, running: 0 }))].filter(
      (own, i, all) => ![...said, ...all.slice(0, i)].some((one) => isSame(one, own)),
    );
    const found = [...said, ...unused].slice(0, limit);
    const out = await blockedApps(
      transaction,
      found.map(({ version }) => `${appId}@${version}`),
    );
    const due = app.minimum !== null && app.minimum.from <= transaction.now() ? app.minimum.version : undefined;
    return found.map((one) => ({
      ...{ version: one.version, os: one.os, running: one.running },
      refused: refused.find(({ version, os }) => version === one.version && os === one.os)?.refused ?? 0,
      known: stateOf(rows, one),
      blocked: out.has(`${appId}@${one.version}`),
      tooOld: due !== undefined && compareVersions(one.version, due) < 0,
    }));
  });
}

interface VersionOn {
  readonly version: string;
  readonly os: string | null;
}

function isSame(a: VersionOn, b: VersionOn): boolean {
  return a.version === b.version && (a.os === b.os || a.os === null);
}

/** Of several releases of one version, one that is offered says more than one that was taken back. */
function stateOf(rows: readonly ReleaseRow[], one: VersionOn): AppVersion['known'] {
  const states = rows.filter((row) => isSame(one, row.package)).map(({ state }) => state);
  return (['live', 'proposed', 'withdrawn'] as const).find((state) => states.includes(state)) ?? 'unknown';
}
