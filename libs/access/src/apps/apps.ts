import type { AppInput } from '@sallyport/security-api';
import type { AccessContext, Actor } from '../realm/context.ts';
import { getRealm, settingsOf } from '../realm/realm.ts';
import { changeRights, type PutOptions } from '../rights/policies.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { Tables, Transaction } from '../store/store.ts';
import { blockedVersions } from './blocked-versions.ts';
import type { AppRow } from './rows.ts';

/** A page of registered apps by id; `after` is the last id of the page before. */
export async function listApps({ store }: AccessContext, { after, limit }: ListPage): Promise<readonly AppRow[]> {
  return store.transaction(({ tables }) =>
    tables.apps.list({ where: { removedAt: null }, above: ['id', after], limit }),
  );
}

/** A registered app. @throws AccessError ERR_ACCESS_NOT_FOUND */
export async function getApp({ store }: AccessContext, id: string): Promise<AppRow> {
  const row = await store.transaction(({ tables }) => tables.apps.find({ id }));
  if (row?.removedAt !== null) throw missing('app', id);
  return row;
}

/**
 * Registers an app, or replaces what is known of one. Open channels of its devices read their rights again.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for an unknown group, ERR_ACCESS_CONFLICT when `onlyNew` one has the id
 */
export async function putApp(
  access: AccessContext,
  id: string,
  input: AppInput,
  by: Actor,
  options: PutOptions = {},
): Promise<AppRow> {
  const wanted: Omit<AppRow, 'blocked' | 'blockedBelow'> = {
    id,
    title: input.title ?? id,
    platforms: input.platforms ?? [],
    signers: input.signers ?? [],
    groups: input.groups,
    owners: input.owners ?? [],
    minimum: input.minimum ?? null,
    channels: input.channels && Object.keys(input.channels).length > 0 ? input.channels : null,
    removedAt: null,
  };
  let row: AppRow = { ...wanted, blocked: null, blockedBelow: null };
  await changeRights(access, { action: 'app.put', subject: id, by }, async (begun) => {
    const { tables } = begun;
    for (const name of groupsIn(row)) if (!(await tables.groups.find({ name }))) throw missing('group', name);
    const before = await tables.apps.find({ id }, 'update');
    if (options.onlyNew && before?.removedAt === null)
      throw new AccessError('ERR_ACCESS_CONFLICT', `the app ${id} is registered already`);
    // What is revoked stays so, whatever else is said of the app, also where a version before ours entered it into the log alone.
    row = { ...wanted, ...(await blockedVersions(begun, id)) };
    const { id: _, ...columns } = row;
    if (before) await tables.apps.update({ where: { id } }, columns);
    else await tables.apps.insert(row);
    await leaveChannels(tables, row);
  });
  return row;
}

/** Devices are on no channel that their app does not have: one of the same name that comes later is another one. */
async function leaveChannels(
  { channelDevices }: Tables,
  { id, channels }: Pick<AppRow, 'id' | 'channels'>,
): Promise<void> {
  for (const { channel } of await channelDevices.tally(['channel'], { where: { appId: id } }))
    if (!Object.hasOwn(channels ?? {}, channel)) await channelDevices.remove({ where: { appId: id, channel } });
}

/** Groups that an app names: who may use it, and who is on its channels. */
function groupsIn({ groups, channels }: Pick<AppRow, 'groups' | 'channels'>): ReadonlySet<string> {
  return new Set([...(groups ?? []), ...Object.values(channels ?? {}).flat()]);
}

/**
 * Takes an app out of the realm: its devices sign in no more, and their channels serve nothing. False when there was none.
 * @throws AccessError ERR_ACCESS_CONFLICT while a policy, or the realm's rule, names it
 */
export async function removeApp(access: AccessContext, id: string, by: Actor): Promise<boolean> {
  const known = await access.store.transaction(({ tables }) => tables.apps.find({ id }));
  if (known?.removedAt !== null) return false;
  await changeRights(access, { action: 'app.remove', subject: id, by }, async (begun) => {
    await checkUnnamed(begun, id);
    await begun.tables.apps.update({ where: { id } }, { removedAt: begun.now() });
    await leaveChannels(begun.tables, { id, channels: null });
  });
  return true;
}

async function checkUnnamed(transaction: Transaction, id: string): Promise<void> {
  const { context } = settingsOf(await getRealm(transaction));
  if (context.apps?.some((app) => app.id === id))
    throw new AccessError('ERR_ACCESS_CONFLICT', `the realm's rule for app contexts names ${id}`);
  const naming = (await transaction.tables.policies.list()).filter(({ rule }) =>
    rule.context?.apps?.some((app) => app.id === id),
  );
  if (naming.length > 0)
    throw new AccessError('ERR_ACCESS_CONFLICT', `policies name ${id}: ${naming.map(({ name }) => name).join(', ')}`);
}
