import {
  changeMembersIn,
  type DirectoryGroupRow,
  membersOf,
  putDirectoryGroup,
  removeDirectoryGroups,
  type Transaction,
} from '@sallyport/access';
import {
  type GroupPatch,
  memberIds,
  readScimGroup,
  ScimError,
  type ScimObject,
  type ScimValue,
  URNS,
} from '@sallyport/directory';
import type { RealmContext } from '../realm-context.ts';
import type { ScimClient } from './client.ts';

/** A stored group as the client reads it; its members only when they are wanted. */
export async function scimGroup(
  { base, directory }: ScimClient,
  transaction: Transaction,
  row: DirectoryGroupRow,
  withMembers: boolean,
): Promise<ScimObject> {
  const members = withMembers ? await membersOf(transaction, directory, row.subject) : [];
  return {
    schemas: [URNS.group],
    id: row.subject,
    ...(row.externalId === '' ? {} : { externalId: row.externalId }),
    displayName: row.name,
    ...(members.length === 0 ? {} : { members: members.map((value) => ({ value, $ref: `${base}/Users/${value}` })) }),
    meta: {
      resourceType: 'Group',
      created: new Date(row.createdAt).toISOString(),
      lastModified: new Date(row.changedAt).toISOString(),
      location: `${base}/Groups/${row.subject}`,
    },
  };
}

/** A new or changed group and the last log entry that the change caused, 0 for none. */
export interface WrittenGroup {
  readonly group: ScimObject;
  readonly index: number;
}

/** Members of one transaction. */
const BATCH = 1_000;

/** Creates a group. @throws ScimError uniqueness, invalidValue */
export async function createScimGroup(
  context: RealmContext,
  client: ScimClient,
  body: ScimObject,
): Promise<WrittenGroup> {
  const steps = [{ op: 'replace', members: memberIds(body['members'] as ScimValue | undefined) }] as const;
  return write(context, client, { subject: crypto.randomUUID(), patch: { attributes: body, steps } });
}

/** Replaces or patches a group: `change` makes the patch from what is stored. Undefined when there is none. */
export async function changeScimGroup(
  context: RealmContext,
  client: ScimClient,
  subject: string,
  change: (before: ScimObject) => GroupPatch,
): Promise<WrittenGroup | undefined> {
  const { directory } = client;
  const before = await context.access.store.transaction(({ tables }) =>
    tables.directoryGroups.find({ directory, subject }),
  );
  if (!before) return undefined;
  const { name: displayName, externalId } = before;
  const stored = { displayName, ...(externalId === '' ? {} : { externalId }) };
  return write(context, client, { subject, patch: change(stored) });
}

async function write(
  { access }: RealmContext,
  client: ScimClient,
  { subject, patch }: { subject: string; patch: GroupPatch },
): Promise<WrittenGroup> {
  const { directory, by } = client;
  const { displayName: name, externalId } = readScimGroup(patch.attributes);
  return access.store.transaction(async (transaction) => {
    for (const other of await transaction.tables.directoryGroups.list({ where: { directory, name } }))
      if (other.subject !== subject)
        throw new ScimError('uniqueness', 'there is a group with this displayName already');
    const group = { subject, externalId, name, version: String(transaction.now()) };
    const row = await putDirectoryGroup(access, transaction, { directory, group, by });
    let index = 0;
    for (const step of patch.steps)
      index = Math.max(index, await changeBy({ access, client, transaction, subject }, step));
    return { group: await scimGroup(client, transaction, row, true), index };
  });
}

async function changeBy(
  of: { access: RealmContext['access']; client: ScimClient; transaction: Transaction; subject: string },
  step: GroupPatch['steps'][number],
): Promise<number> {
  const { access, client, transaction, subject } = of;
  const { directory, by } = client;
  const group = { directory, subject };
  const wanted = new Set(step.members);
  const before = step.op === 'replace' ? await membersOf(transaction, directory, subject) : [];
  const add = step.op === 'remove' ? [] : step.members;
  const remove = step.op === 'remove' ? step.members : before.filter((member) => !wanted.has(member));
  await checkKnown(transaction, directory, add);
  let index = 0;
  for (let at = 0; at < Math.max(add.length, remove.length); at += BATCH) {
    const change = { add: add.slice(at, at + BATCH), remove: remove.slice(at, at + BATCH) };
    index = Math.max(index, await changeMembersIn(access, transaction, { group, change, by }));
  }
  return index;
}

/** @throws ScimError invalidValue when a member is no user: groups in groups come flattened */
async function checkKnown({ tables }: Transaction, directory: string, members: readonly string[]): Promise<void> {
  const known = await tables.identities.list({ where: { directory }, among: ['subject', [...new Set(members)]] });
  const found = new Set(known.map(({ subject }) => subject));
  const missing = members.find((member) => !found.has(member));
  if (missing !== undefined)
    throw new ScimError('invalidValue', 'a member is not the id of a user; groups in groups are not taken');
}

/** Removes a group; undefined when there is none. */
export async function removeScimGroup(
  context: RealmContext,
  client: ScimClient,
  subject: string,
): Promise<number | undefined> {
  const { access } = context;
  const { directory, by } = client;
  const found = await access.store.transaction(({ tables }) => tables.directoryGroups.find({ directory, subject }));
  return found && removeDirectoryGroups(access, directory, [subject], by);
}
