import {
  type Change,
  changeAccounts,
  changeMembersIn,
  type DirectoryGroupRow,
  type MembershipChange,
  putDirectoryGroup,
  randomId,
  removeDirectoryGroup,
  type Transaction,
} from '@sallyport/access';
import {
  type GroupPatch,
  memberIds,
  type Pace,
  readScimGroup,
  ScimError,
  type ScimGroup,
  type ScimObject,
  type ScimValue,
} from '@sallyport/directory';
import type { RealmContext } from '../realm-context.ts';
import type { ScimClient } from './client.ts';
import { ScimBusyError } from './errors.ts';
import { oneAfterAnother } from './queue.ts';

/** A new or changed group and the last log entry that the change caused, 0 for none. */
export interface WrittenGroup {
  readonly row: DirectoryGroupRow;
  readonly index: number;
}

/** Memberships of one transaction: the realm's lock is held while they change. */
const BATCH = 1_000;
/** How often a change begins anew because the group was changed at another node meanwhile. */
const ATTEMPTS = 8;

/** Creates a group. @throws ScimError uniqueness, invalidValue */
export async function createScimGroup(
  context: RealmContext,
  client: ScimClient,
  body: ScimObject,
  pace: Pace,
): Promise<WrittenGroup> {
  const steps = [{ op: 'replace', members: memberIds(body['members'] as ScimValue | undefined) }] as const;
  const edit = (): GroupPatch => ({ attributes: body, steps });
  const of = { subject: crypto.randomUUID(), edit, isNew: true, pace };
  return (await write(context, client, of))!;
}

/** Replaces or patches a group: `edit` makes the patch from what is stored. Undefined when there is none. */
export function changeScimGroup(
  context: RealmContext,
  client: ScimClient,
  of: { readonly subject: string; readonly edit: (before: ScimObject) => GroupPatch; readonly pace: Pace },
): Promise<WrittenGroup | undefined> {
  return write(context, client, { ...of, isNew: false });
}

interface GroupWrite {
  readonly subject: string;
  readonly edit: (before: ScimObject) => GroupPatch;
  readonly isNew: boolean;
  readonly pace: Pace;
}

/**
 * Writes a group: what fits into one transaction in one, what is more in several, of which each makes sure that nobody
 * else has changed the group since; then it begins anew, as if it had come after the other.
 */
function write(context: RealmContext, client: ScimClient, of: GroupWrite): Promise<WrittenGroup | undefined> {
  return oneAfterAnother(context.access, `${client.directory}/${of.subject}`, async () => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const before = await findGroup(context, client, of.subject);
      if (!before && !of.isNew) return undefined;
      const written = await writeOnce(context, client, of, before);
      if (written) return written;
    }
    throw new ScimBusyError('the group is changed by others all the time; try again');
  });
}

/** One attempt; undefined when the group was changed meanwhile. @throws ScimError; nothing is changed then */
async function writeOnce(
  context: RealmContext,
  client: ScimClient,
  { subject, edit, pace }: GroupWrite,
  before: DirectoryGroupRow | undefined,
): Promise<WrittenGroup | undefined> {
  const { access } = context;
  const patch = edit(before ? storedGroup(before) : {});
  const named = readScimGroup(patch.attributes);
  const change = await membershipChange(context, client, { subject, steps: patch.steps, pace });
  await checkKnown(context, client, change.add);
  const version = randomId(access.crypto);
  let expected = before?.version;
  let written: WrittenGroup | undefined;
  // Who leaves does so first: an attempt that is cut off has given nobody anything that was to be taken.
  for (const part of partsOf(change)) {
    const next = await changeAccounts(access, client.by, (begun) =>
      writePart(begun, client, { subject, named, version, expected, part }),
    );
    if (!next) return undefined;
    written = { row: next.row, index: Math.max(written?.index ?? 0, next.index) };
    expected = version;
    await pace.rest();
  }
  return written;
}

function storedGroup({ name: displayName, externalId }: DirectoryGroupRow): ScimObject {
  return { displayName, ...(externalId === '' ? {} : { externalId }) };
}

async function writePart(
  begun: Change,
  { directory }: ScimClient,
  of: {
    subject: string;
    named: ScimGroup;
    version: string;
    expected: string | undefined;
    part: MembershipChange;
  },
): Promise<WrittenGroup | undefined> {
  const { subject, named, version, expected, part } = of;
  const { directoryGroups, identities } = begun.tables;
  const now = await directoryGroups.find({ directory, subject });
  if (now?.version !== expected) return begun.unchanged() as undefined;
  const { displayName: name, externalId } = named;
  for (const other of await directoryGroups.list({ where: { directory, name, externalId } }))
    if (other.subject !== subject) throw new ScimError('uniqueness', 'there is such a group already');
  const onlyName = `${directory}/${encodeURIComponent(externalId)}/${name}`;
  const row = await putDirectoryGroup(begun, directory, { subject, externalId, name, onlyName, version });
  // Who was removed since the members were checked is in no group any more.
  const known = await identities.list({ where: { directory }, among: ['subject', part.add] });
  const add = known.map((account) => account.subject);
  await changeMembersIn(begun, { directory, subject }, { add, remove: part.remove });
  return { row, index: begun.index };
}

/** What steps come to for the members that a group has: who is added, who is removed; the last word on somebody counts. */
async function membershipChange(
  context: RealmContext,
  client: ScimClient,
  { subject, steps, pace }: { subject: string; steps: GroupPatch['steps']; pace: Pace },
): Promise<MembershipChange> {
  const wanted = new Map<string, boolean>();
  let replaced = false;
  for (const { op, members } of steps) {
    if (op === 'replace') {
      wanted.clear();
      replaced = true;
    }
    for (const member of members) {
      wanted.set(member, op !== 'remove');
      if (pace.spend()) await pace.rest();
    }
  }
  const add = new Set<string>();
  const remove: string[] = [];
  for (const [member, isIn] of wanted) {
    if (isIn) add.add(member);
    else remove.push(member);
    if (pace.spend()) await pace.rest();
  }
  if (!replaced) return { add: [...add], remove };
  const leaving: string[] = [];
  for await (const page of memberPages(context, client, subject))
    for (const member of page) if (!add.delete(member)) leaving.push(member);
  return { add: [...add], remove: leaving };
}

/** Removals first; at least one part, so that the attributes are written. */
function* partsOf({ add, remove }: MembershipChange): Generator<MembershipChange> {
  const total = add.length + remove.length;
  if (total <= BATCH) return yield { add, remove };
  for (let at = 0; at < remove.length; at += BATCH) yield { add: [], remove: remove.slice(at, at + BATCH) };
  for (let at = 0; at < add.length; at += BATCH) yield { add: add.slice(at, at + BATCH), remove: [] };
}

/** Unknown members that are named in the error. */
const NAMED = 5;

/**
 * All or nothing: RFC 7644 lets us choose, and a group that silently lacks somebody is found by nobody.
 * @throws ScimError invalidValue that names members who are no users: groups in groups come flattened
 */
async function checkKnown(
  { access }: RealmContext,
  { directory }: ScimClient,
  members: readonly string[],
): Promise<void> {
  const missing: string[] = [];
  for (let at = 0; at < members.length && missing.length < NAMED; at += BATCH) {
    const part = members.slice(at, at + BATCH);
    const known = await access.store.transaction(({ tables }) =>
      tables.identities.list({ where: { directory }, among: ['subject', part] }),
    );
    const found = new Set(known.map(({ subject }) => subject));
    missing.push(...part.filter((member) => !found.has(member)));
  }
  if (missing.length === 0) return;
  const named = missing.slice(0, NAMED).join(', ');
  throw new ScimError(
    'invalidValue',
    `no user has the id ${named}: nothing was changed; groups in groups are not taken`,
  );
}

/** A group by its id; undefined when there is none. */
export function findGroup(
  { access }: RealmContext,
  { directory }: ScimClient,
  subject: string,
): Promise<DirectoryGroupRow | undefined> {
  return access.store.transaction(({ tables }) => tables.directoryGroups.find({ directory, subject }));
}

/** Ids of the members of a group, page by page: they may be very many. */
export async function* memberPages(
  { access }: RealmContext,
  { directory }: ScimClient,
  groupSubject: string,
): AsyncGenerator<readonly string[]> {
  for (let after = ''; ; ) {
    const page = { where: { directory, groupSubject }, above: ['subject', after] as const, limit: BATCH };
    const rows = await access.store.transaction(({ tables }) => tables.accountGroups.list(page));
    if (rows.length > 0) yield rows.map(({ subject }) => subject);
    if (rows.length < BATCH) return;
    after = rows.at(-1)!.subject;
  }
}

/** Those of some ids that are members of a group. */
export async function membersAmong(
  { tables }: Transaction,
  group: Pick<DirectoryGroupRow, 'directory' | 'subject'>,
  ids: readonly string[],
): Promise<string[]> {
  const where = { directory: group.directory, groupSubject: group.subject };
  const rows = await tables.accountGroups.list({ where, among: ['subject', ids] });
  return rows.map(({ subject }) => subject);
}

/** Removes a group; undefined when there is none. */
export function removeScimGroup(
  { access }: RealmContext,
  { directory, by }: ScimClient,
  subject: string,
): Promise<number | undefined> {
  return oneAfterAnother(access, `${directory}/${subject}`, () =>
    changeAccounts(access, by, (begun) => removeDirectoryGroup(begun, directory, subject)),
  );
}
