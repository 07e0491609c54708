import {
  type Change,
  changeAccounts,
  changeMembersIn,
  type DirectoryGroupRow,
  membersOf,
  putDirectoryGroup,
  randomId,
  removeDirectoryGroup,
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
export function createScimGroup(context: RealmContext, client: ScimClient, body: ScimObject): Promise<WrittenGroup> {
  const steps = [{ op: 'replace', members: memberIds(body['members'] as ScimValue | undefined) }] as const;
  return changeAccounts(context.access, client.by, (change) =>
    write(change, client, { subject: crypto.randomUUID(), patch: { attributes: body, steps } }),
  );
}

/**
 * Replaces or patches a group: `edit` makes the patch from what is stored, under the same lock under which it is written.
 * Undefined when there is none.
 */
export function changeScimGroup(
  context: RealmContext,
  client: ScimClient,
  subject: string,
  edit: (before: ScimObject) => GroupPatch,
): Promise<WrittenGroup | undefined> {
  const { directory } = client;
  return changeAccounts(context.access, client.by, async (change) => {
    const before = await change.tables.directoryGroups.find({ directory, subject });
    if (!before) return change.unchanged() as undefined;
    const { name: displayName, externalId } = before;
    const stored = { displayName, ...(externalId === '' ? {} : { externalId }) };
    return write(change, client, { subject, patch: edit(stored) });
  });
}

async function write(
  change: Change,
  client: ScimClient,
  { subject, patch }: { subject: string; patch: GroupPatch },
): Promise<WrittenGroup> {
  const { directory } = client;
  const { displayName: name, externalId } = readScimGroup(patch.attributes);
  const onlyName = onlyNameOf(directory, { name, externalId });
  for (const other of await change.tables.directoryGroups.list({ where: { directory, name, externalId } }))
    if (other.subject !== subject) throw new ScimError('uniqueness', 'there is such a group already');
  const group = { subject, externalId, name, onlyName, version: randomId(change.access.crypto) };
  const row = await putDirectoryGroup(change, directory, group);
  for (const step of patch.steps) await changeBy(change, { directory, subject }, step);
  return { group: await scimGroup(client, change, row, true), index: change.index };
}

/** Two groups may have one name when their source tells them apart (RFC 7643 demands no more, Entra ID has such). */
function onlyNameOf(directory: string, { name, externalId }: { name: string; externalId: string }): string {
  return `${directory}/${encodeURIComponent(externalId)}/${name}`;
}

async function changeBy(
  change: Change,
  group: { readonly directory: string; readonly subject: string },
  step: GroupPatch['steps'][number],
): Promise<void> {
  const { directory, subject } = group;
  const wanted = new Set(step.members);
  const before = step.op === 'replace' ? await membersOf(change, directory, subject) : [];
  const add = step.op === 'remove' ? [] : step.members;
  const remove = step.op === 'remove' ? step.members : before.filter((member) => !wanted.has(member));
  await checkKnown(change, directory, add);
  for (let at = 0; at < Math.max(add.length, remove.length); at += BATCH)
    await changeMembersIn(change, group, { add: add.slice(at, at + BATCH), remove: remove.slice(at, at + BATCH) });
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
  return changeAccounts(context.access, client.by, (change) => removeDirectoryGroup(change, client.directory, subject));
}
