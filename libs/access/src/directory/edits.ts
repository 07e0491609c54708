import type { Change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { AccessError } from '../store/errors.ts';
import { type Account, changeAccounts, takeAccounts } from './accounts.ts';
import { type MembershipChange, putDirectoryGroup, removeDirectoryGroup, takeMembers } from './groups.ts';
import { type AccountWithGroups, accountsWithGroups } from './listing.ts';
import type { DirectoryGroupRow, IdentityRow } from './rows.ts';

/** What a directory that pushes its accounts says of one. */
export type PushedAccount = Omit<Account, 'subject' | 'version'>;

/** An account that a directory has pushed, and the last log entry that this caused, 0 for none. */
export interface WrittenAccount extends AccountWithGroups {
  readonly index: number;
}

/** Takes over a new account that its directory pushes. @throws AccessError ERR_ACCESS_CONFLICT when its login or its name is taken */
export function addAccount(
  access: AccessContext,
  directory: string,
  { subject, account }: { readonly subject: string; readonly account: PushedAccount },
  by: Actor,
): Promise<WrittenAccount> {
  return changeAccounts(access, by, (begun) => writeAccount(begun, directory, { subject, account, isNew: true }));
}

/**
 * Takes over a change of an account: `edit` makes the new one from what is stored, under the same lock under which it is
 * written; what it throws changes nothing. Undefined when there is no such account.
 * @throws AccessError ERR_ACCESS_CONFLICT when another one has the login
 */
export function editAccount(
  access: AccessContext,
  directory: string,
  { subject, edit }: { readonly subject: string; readonly edit: (before: IdentityRow) => PushedAccount },
  by: Actor,
): Promise<WrittenAccount | undefined> {
  return changeAccounts(access, by, async (begun) => {
    const before = await begun.tables.identities.find({ directory, subject });
    if (!before) return begun.unchanged() as undefined;
    return writeAccount(begun, directory, { subject, account: edit(before), isNew: false });
  });
}

async function writeAccount(
  begun: Change,
  directory: string,
  { subject, account, isNew }: { subject: string; account: PushedAccount; isNew: boolean },
): Promise<WrittenAccount> {
  const { identities } = begun.tables;
  const login = account.login.toLowerCase();
  for (const other of await identities.list({ where: { directory, login } }))
    if (other.subject !== subject)
      throw new AccessError('ERR_ACCESS_CONFLICT', 'there is a user with this userName already');
  const { conflicts, index } = await takeAccounts(begun, directory, [
    { ...account, subject, version: String(begun.at) },
  ]);
  const [conflict] = conflicts;
  if (conflict && isNew) throw new AccessError('ERR_ACCESS_CONFLICT', conflict.why);
  const row = (await identities.find({ directory, subject }))!;
  return { ...(await accountsWithGroups(begun, directory, [row]))[0]!, index };
}

/** A part of a change of a group that is too large for one transaction. */
export interface GroupPart {
  readonly subject: string;
  readonly externalId: string;
  readonly name: string;
  /** The version that the group gets, and the one that it must have; undefined for a group that is not there yet. */
  readonly version: string;
  readonly expected: string | undefined;
  readonly members: MembershipChange;
}

/** A group that a directory has pushed, and the last log entry that this caused, 0 for none. */
export interface WrittenGroup {
  readonly row: DirectoryGroupRow;
  readonly index: number;
}

/**
 * Writes one part of a change of a group, if nobody else has changed the group since; undefined when somebody has.
 * @throws AccessError ERR_ACCESS_CONFLICT when there is another group of this name and external id
 */
export function writeGroupPart(
  access: AccessContext,
  directory: string,
  { subject, externalId, name, version, expected, members }: GroupPart,
  by: Actor,
): Promise<WrittenGroup | undefined> {
  return changeAccounts(access, by, async (begun) => {
    const { directoryGroups, identities } = begun.tables;
    const now = await directoryGroups.find({ directory, subject });
    if (now?.version !== expected) return begun.unchanged() as undefined;
    for (const other of await directoryGroups.list({ where: { directory, name, externalId } }))
      if (other.subject !== subject) throw new AccessError('ERR_ACCESS_CONFLICT', 'there is such a group already');
    const onlyName = `${directory}/${encodeURIComponent(externalId)}/${name}`;
    const row = await putDirectoryGroup(begun, directory, { subject, externalId, name, onlyName, version });
    // Who was removed since the members were checked is in no group any more.
    const known = await identities.list({ where: { directory }, among: ['subject', members.add] });
    const add = known.map((account) => account.subject);
    await takeMembers(begun, { directory, subject }, { add, remove: members.remove });
    return { row, index: begun.index };
  });
}

/** Forgets a group that its directory has removed; gives the last log entry's index, 0 for none, undefined for no such group. */
export function dropGroup(
  access: AccessContext,
  directory: string,
  subject: string,
  by: Actor,
): Promise<number | undefined> {
  return changeAccounts(access, by, (begun) => removeDirectoryGroup(begun, directory, subject));
}
