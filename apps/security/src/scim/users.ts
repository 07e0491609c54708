import {
  type Account,
  applyAccountsIn,
  type Change,
  changeAccounts,
  type IdentityRow,
  NEVER,
  removeAccounts,
  type Transaction,
} from '@sallyport/access';
import { isObject, readScimUser, ScimError, type ScimObject, type ScimUser, URNS } from '@sallyport/directory';
import type { RealmContext } from '../realm-context.ts';
import type { ScimClient } from './client.ts';

/** Stored users as the client reads them, with their groups. */
export async function withGroups(
  { base, directory }: ScimClient,
  { tables }: Transaction,
  rows: readonly IdentityRow[],
): Promise<ScimObject[]> {
  const where = { directory };
  const joined = await tables.accountGroups.list({ where, among: ['subject', rows.map(({ subject }) => subject)] });
  const ids = [...new Set(joined.map(({ groupSubject }) => groupSubject))];
  const names = new Map(
    (await tables.directoryGroups.list({ where, among: ['subject', ids] })).map(({ subject, name }) => [subject, name]),
  );
  const groups = new Map<string, ScimObject[]>();
  for (const { subject, groupSubject: value } of joined) {
    const display = names.get(value);
    if (display === undefined) continue;
    const list = groups.get(subject) ?? [];
    list.push({ value, display, $ref: `${base}/Groups/${value}` });
    groups.set(subject, list);
  }
  return rows.map((row) => {
    const own = groups.get(row.subject);
    return { ...bareUser(base, row), ...(own ? { groups: own } : {}) };
  });
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

function accountOf(subject: string, user: ScimUser, version: string): Account {
  const { userName, externalId, displayName, active, attributes } = user;
  return {
    subject,
    externalId,
    login: userName,
    displayName,
    active,
    expiresAt: NEVER,
    dn: '',
    version,
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

/** Creates a user. @throws ScimError uniqueness */
export function createScimUser(context: RealmContext, client: ScimClient, body: unknown): Promise<WrittenUser> {
  const user = readScimUser(body);
  return changeAccounts(context.access, client.by, (change) =>
    write(change, client, { subject: crypto.randomUUID(), user, isNew: true }),
  );
}

/**
 * Replaces or patches a user: `edit` makes the new resource from what is stored, under the same lock under which it is
 * written. Undefined when there is none.
 */
export function changeScimUser(
  context: RealmContext,
  client: ScimClient,
  subject: string,
  edit: (before: ScimObject) => unknown,
): Promise<WrittenUser | undefined> {
  const { directory } = client;
  return changeAccounts(context.access, client.by, async (change) => {
    const before = await change.tables.identities.find({ directory, subject });
    if (!before) return change.unchanged() as undefined;
    const { scim = {} } = before.attributes as { scim?: ScimObject };
    // Who says nothing of `active` leaves it as it is: a replaced resource must not let somebody in again.
    const user = readScimUser(edit({ ...scim, active: before.active }), before.active);
    return write(change, client, { subject, user, isNew: false });
  });
}

async function write(
  change: Change,
  client: ScimClient,
  { subject, user, isNew }: { subject: string; user: ScimUser; isNew: boolean },
): Promise<WrittenUser> {
  const { directory } = client;
  const { identities } = change.tables;
  const login = user.userName.toLowerCase();
  for (const other of await identities.list({ where: { directory, login } }))
    if (other.subject !== subject) throw new ScimError('uniqueness', 'there is a user with this userName already');
  const account = accountOf(subject, user, String(change.at));
  const outcome = await applyAccountsIn(change, directory, [account]);
  const [conflict] = outcome.conflicts;
  if (conflict && isNew) throw new ScimError('uniqueness', conflict.why);
  const row = (await identities.find({ directory, subject }))!;
  return { user: (await withGroups(client, change, [row]))[0]!, index: outcome.index };
}

/** Removes a user; undefined when there is none. */
export async function removeScimUser(
  context: RealmContext,
  client: ScimClient,
  subject: string,
): Promise<number | undefined> {
  const { removed, index } = await removeAccounts(context.access, client.directory, [subject], client.by);
  return removed === 0 ? undefined : index;
}
