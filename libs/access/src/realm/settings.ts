import type { RealmSettings } from '@sallyport/security-api';
import { checkApps } from './apps-named.ts';
import { change as changeRealm } from './change.ts';
import type { AccessContext, Actor } from './context.ts';
import { getRealm, settingsOf } from './realm.ts';

/**
 * Changes settings; what is not named stays. A rule for app contexts is a right: open channels read theirs again.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for a rule that names an app which is not registered
 */
export async function changeSettings(
  access: AccessContext,
  change: Partial<RealmSettings>,
  by: Actor,
): Promise<RealmSettings> {
  return changeRealm(access, by, async (begun) => {
    if (change.context) await checkApps(begun, change.context);
    const before = settingsOf(await getRealm(begun));
    const settings = { ...before, ...change };
    await begun.tables.realms.update({ where: { id: 'realm' } }, { settings });
    const isOther = JSON.stringify(settings.context) !== JSON.stringify(before.context);
    if (isOther || settings.production !== before.production) await begun.rereadRights('*');
    begun.audit('realm.change', Object.keys(change).sort().join(', '));
    return settings;
  });
}
