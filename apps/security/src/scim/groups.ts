import {
  type AccessContext,
  type DirectoryGroupRow,
  dropGroup,
  findSourceGroup,
  knownSubjects,
  listMembers,
  type MembershipChange,
  randomId,
  type WrittenGroup,
  writeGroupPart,
} from '@sallyport/access';
import {
  type GroupPatch,
  memberIds,
  type Pace,
  readScimGroup,
  ScimError,
  type ScimObject,
  type ScimValue,
} from '@sallyport/directory';
import type { ScimClient } from './client.ts';
import { ScimBusyError } from './errors.ts';
import { oneAfterAnother } from './queue.ts';

/** Memberships of one transaction: the realm's lock is held while they change. */
const BATCH = 1_000;
/** How often a change begins anew because the group was changed at another node meanwhile. */
const ATTEMPTS = 8;

/** Creates a group. @throws ScimError invalidValue, AccessError ERR_ACCESS_CONFLICT when there is such a group */
export async function createScimGroup(
  access: AccessContext,
  client: ScimClient,
  body: ScimObject,
  pace: Pace,
): Promise<WrittenGroup> {
  const steps = [{ op: 'replace', members: memberIds(body['members'] as ScimValue | undefined) }] as const;
  const edit = (): GroupPatch => ({ attributes: body, steps });
  const of = { subject: crypto.randomUUID(), edit, isNew: true, pace };
  return (await write(access, client, of))!;
}

/** Replaces or patches a group: `edit` makes the patch from what is stored. Undefined when there is none. */
export function changeScimGroup(
  access: AccessContext,
  client: ScimClient,
  of: { readonly subject: string; readonly edit: (before: ScimObject) => GroupPatch; readonly pace: Pace },
): Promise<WrittenGroup | undefined> {
  return write(access, client, { ...of, isNew: false });
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
function write(access: AccessContext, client: ScimClient, of: GroupWrite): Promise<WrittenGroup | undefined> {
  return oneAfterAnother(access, `${client.directory}/${of.subject}`, async () => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const before = await findSourceGroup(access, client.directory, of.subject);
      if (!before && !of.isNew) return undefined;
      const written = await writeOnce(access, client, of, before);
      if (written) return written;
    }
    throw new ScimBusyError('the group is changed by others all the time; try again');
  });
}

/** One attempt; undefined when the group was changed meanwhile. What it throws before its first part changes nothing. */
async function writeOnce(
  access: AccessContext,
  client: ScimClient,
  { subject, edit, pace }: GroupWrite,
  before: DirectoryGroupRow | undefined,
): Promise<WrittenGroup | undefined> {
  const patch = edit(before ? storedGroup(before) : {});
  const { displayName: name, externalId } = readScimGroup(patch.attributes);
  const change = await membershipChange(access, client, { subject, steps: patch.steps, pace });
  await checkKnown(access, client, change.add);
  const version = randomId(access.crypto);
  let expected = before?.version;
  let written: WrittenGroup | undefined;
  // Who leaves does so first: an attempt that is cut off has given nobody anything that was to be taken.
  for (const members of partsOf(change)) {
    const part = { subject, name, externalId, version, expected, members };
    const next = await writeGroupPart(access, client.directory, part, client.by);
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

/** What steps come to for the members that a group has: who is added, who is removed; the last word on somebody counts. */
async function membershipChange(
  access: AccessContext,
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
  for await (const page of memberPages(access, client, subject))
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
async function checkKnown(access: AccessContext, { directory }: ScimClient, members: readonly string[]): Promise<void> {
  const missing: string[] = [];
  for (let at = 0; at < members.length && missing.length < NAMED; at += BATCH) {
    const part = members.slice(at, at + BATCH);
    const found = await knownSubjects(access, directory, part);
    missing.push(...part.filter((member) => !found.has(member)));
  }
  if (missing.length === 0) return;
  const named = missing.slice(0, NAMED).join(', ');
  throw new ScimError(
    'invalidValue',
    `no user has the id ${named}: nothing was changed; groups in groups are not taken`,
  );
}

/** Ids of the members of a group, page by page: they may be very many. */
export async function* memberPages(
  access: AccessContext,
  { directory }: ScimClient,
  groupSubject: string,
): AsyncGenerator<readonly string[]> {
  for (let after = ''; ; ) {
    const page = await listMembers(access, { directory, subject: groupSubject }, { after, limit: BATCH });
    if (page.length > 0) yield page;
    if (page.length < BATCH) return;
    after = page.at(-1)!;
  }
}

/** Removes a group; undefined when there is none. */
export function removeScimGroup(
  access: AccessContext,
  { directory, by }: ScimClient,
  subject: string,
): Promise<number | undefined> {
  return oneAfterAnother(access, `${directory}/${subject}`, () => dropGroup(access, directory, subject, by));
}
