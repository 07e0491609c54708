import {
  type AccessContext,
  type AccountWithGroups,
  addAccount,
  editAccount,
  findAccount,
  type IdentityRow,
  NEVER,
  type PushedAccount,
  removeAccounts,
  type WrittenAccount,
} from '@sallyport/access';
import { isObject, readScimUser, type ScimObject, type ScimUser, URNS } from '@sallyport/directory';
import type { ScimClient } from './client.ts';

/** A stored user as the client reads it, with its groups. */
export function fullUser(base: string, { account, groups }: AccountWithGroups): ScimObject {
  const listed = groups.map(({ subject, name }) => ({
    value: subject,
    display: name,
    $ref: `${base}/Groups/${subject}`,
  }));
  return { ...bareUser(base, account), ...(listed.length === 0 ? {} : { groups: listed }) };
}

/** A stored user without its groups. */
export function bareUser(base: string, row: IdentityRow): ScimObject {
  const { scim } = row.attributes as { scim?: ScimObject };
  const extension = isObject(scim?.[URNS.enterprise]) ? [URNS.enterprise] : [];
  return {
    schemas: [URNS.user, ...extension],
    id: row.subject,
    ...scim,
    active: row.active,
    meta: {
      resourceType: 'User',
      created: new Date(row.createdAt).toISOString(),
      lastModified: new Date(row.changedAt).toISOString(),
      location: `${base}/Users/${row.subject}`,
    },
  };
}

function accountOf({ userName, externalId, displayName, active, attributes }: ScimUser): PushedAccount {
  return {
    externalId,
    login: userName,
    displayName,
    active,
    expiresAt: NEVER,
    dn: '',
    attributes: { ...keptAttributes(attributes), scim: attributes as never },
  };
}

/** What a migration may match accounts by: short texts at the top, and of the enterprise extension. */
function keptAttributes(attributes: ScimObject): Record<string, string> {
  const extension = attributes[URNS.enterprise];
  const texts = Object.entries({ ...(isObject(extension) ? extension : {}), ...attributes });
  const kept = texts.filter(([, value]) => typeof value === 'string' && value.length <= 128) as [string, string][];
  return Object.fromEntries(kept);
}

/** A new or changed user and the log entry that the change caused, 0 for none. */
export interface WrittenUser {
  readonly user: ScimObject;
  readonly index: number;
}

/** Creates a user. @throws AccessError ERR_ACCESS_CONFLICT when there is one of this name */
export async function createScimUser(access: AccessContext, client: ScimClient, body: unknown): Promise<WrittenUser> {
  const made = { subject: crypto.randomUUID(), account: accountOf(readScimUser(body)) };
  return written(client, await addAccount(access, client.directory, made, client.by));
}

/**
 * Replaces or patches a user: `edit` makes the new resource from what is stored, under the same lock under which it is
 * written. Undefined when there is none.
 * @throws AccessError ERR_ACCESS_CONFLICT when another one has the name
 */
export async function changeScimUser(
  access: AccessContext,
  client: ScimClient,
  subject: string,
  edit: (before: ScimObject) => unknown,
): Promise<WrittenUser | undefined> {
  const editRow = (before: IdentityRow): PushedAccount => {
    const { scim = {} } = before.attributes as { scim?: ScimObject };
    // Who says nothing of `active` leaves it as it is: a replaced resource must not let somebody in again.
    return accountOf(readScimUser(edit({ ...scim, active: before.active }), before.active));
  };
  const changed = await editAccount(access, client.directory, { subject, edit: editRow }, client.by);
  return changed && written(client, changed);
}

function written({ base }: ScimClient, account: WrittenAccount): WrittenUser {
  return { user: fullUser(base, account), index: account.index };
}

/** One user; undefined when there is none. */
export async function readScimUserBy(
  access: AccessContext,
  { directory, base }: ScimClient,
  subject: string,
): Promise<ScimObject | undefined> {
  const found = await findAccount(access, directory, subject);
  return found && fullUser(base, found);
}

/** Removes a user; undefined when there is none. */
export async function removeScimUser(
  access: AccessContext,
  { directory, by }: ScimClient,
  subject: string,
): Promise<number | undefined> {
  const { removed, index } = await removeAccounts(access, directory, [subject], by);
  return removed === 0 ? undefined : index;
}
