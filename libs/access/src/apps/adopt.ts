import { change } from '../realm/change.ts';
import type { AccessContext } from '../realm/context.ts';
import type { Transaction } from '../store/store.ts';
import { appIdOf } from './app-rule.ts';
import { blockedVersions } from './blocked-versions.ts';

const BY = { actor: 'security', reason: 'the realm has devices from before apps were registered' };

/**
 * Registers the apps of all installations for everybody, in a realm that never had one registered: its devices enrolled before apps
 * were asked for. Gives their ids. Once an app was registered it does nothing, also when all were removed since.
 */
export async function adoptApps(access: AccessContext): Promise<readonly string[]> {
  const known = await access.store.transaction(async ({ tables }) => tables.apps.count());
  if (known > 0) return [];
  return change(access, BY, async (begun) => {
    const ids = (await begun.tables.apps.count()) > 0 ? [] : await appsInUse(begun);
    for (const id of ids) {
      const open = { platforms: [], signers: [], groups: null, owners: [], minimum: null, channels: null };
      const blocked = await blockedVersions(begun, id);
      await begun.tables.apps.insert({ id, title: id, ...open, ...blocked, removedAt: null });
      begun.audit('app.put', id);
    }
    if (ids.length === 0) begun.unchanged();
    return ids;
  });
}

/** Ids of all apps that an installation has: one look for each version that is between two known ones, not one for each row. */
async function appsInUse({ tables }: Transaction): Promise<string[]> {
  const found = new Set<string>();
  const gaps: (readonly [above: string, below: string])[] = [['', '\uffff']];
  for (let gap = gaps.pop(); gap; gap = gaps.pop()) {
    const [above, below] = gap;
    const [row] = await tables.installations.list({ above: ['app', above], below: ['app', below], limit: 1 });
    if (!row) continue;
    found.add(appIdOf(row.app));
    gaps.push([above, row.app], [row.app, below]);
  }
  return [...found].sort();
}
