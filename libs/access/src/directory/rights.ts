import type { UserRow } from '../people/rows.ts';
import type { AccessContext } from '../realm/context.ts';
import { readPolicySet } from '../rights/policies.ts';
import type { PolicyRow } from '../rights/rows.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';

/** A group of a user and who put them there. */
export interface GroupReason {
  readonly group: string;
  /** `an operator`, or the directory and its own name of the group. */
  readonly by: string;
}

/** Whether a user may reach a resource, and why. */
export interface RightReason {
  readonly resource: string;
  readonly allowed: boolean;
  /** Policies that open it for the user, each by a group; or, when none does, those that would. */
  readonly policies: readonly { readonly policy: string; readonly groups: readonly string[]; readonly only: string }[];
  readonly words: string;
}

/** Effective rights of a user. */
export interface UserRights {
  readonly user: UserRow;
  readonly groups: readonly GroupReason[];
  readonly resources: readonly RightReason[];
}

/** Says why a user may, or may not, reach each resource. @throws AccessError ERR_ACCESS_NOT_FOUND */
export async function explainRights(access: AccessContext, userName: string): Promise<UserRights> {
  return access.store.transaction(async (transaction) => {
    const user = await transaction.tables.users.find({ name: userName });
    if (!user) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no user ${userName}`);
    const groups = await groupReasons(transaction, user.id);
    const names = new Set(groups.map(({ group }) => group));
    const { resources, policies } = await readPolicySet(transaction);
    return { user, groups, resources: resources.map(({ name }) => rightReason({ user, names, name, policies })) };
  });
}

async function groupReasons({ tables }: Transaction, userId: string): Promise<GroupReason[]> {
  const members = await tables.members.list({ where: { userId } });
  const reasons: GroupReason[] = [];
  for (const { groupName, source } of members) {
    const slash = source.indexOf('/');
    const [directory, subject] = [source.slice(0, slash), source.slice(slash + 1)];
    const group = source === '' ? undefined : await tables.directoryGroups.find({ directory, subject });
    reasons.push({ group: groupName, by: source === '' ? 'an operator' : `${directory}: ${group?.name ?? subject}` });
  }
  return reasons;
}

function rightReason(of: {
  user: UserRow;
  names: ReadonlySet<string>;
  name: string;
  policies: readonly PolicyRow[];
}): RightReason {
  const { user, names, name: resource } = of;
  const about = of.policies.filter((policy) => policy.resources.includes(resource));
  const opening = about.filter((policy) => policy.groups.some((group) => names.has(group)));
  const described = (opening.length > 0 ? opening : about).map((policy) => ({
    policy: policy.name,
    groups: policy.groups.filter((group) => opening.length === 0 || names.has(group)),
    only: conditionsOf(policy),
  }));
  const allowed = user.enabled && opening.length > 0;
  return { resource, allowed, policies: described, words: wordsOf(user, opening.length > 0, described) };
}

function wordsOf(user: UserRow, opened: boolean, described: RightReason['policies']): string {
  if (!user.enabled)
    return user.outByDirectory ? `${user.directory} says that the user is out` : 'the user is disabled';
  if (opened) return described.map(({ policy, groups }) => `${policy} opens it for ${groups.join(', ')}`).join('; ');
  if (described.length === 0) return 'no policy opens it for anybody';
  return described.map(({ policy, groups }) => `${policy} would, for ${groups.join(', ')}`).join('; ');
}

/** What else must hold, in short; empty when nothing must. */
function conditionsOf({ rule }: PolicyRow): string {
  const { context = {}, methods, paths } = rule;
  const parts = [
    ...(methods ? [`methods ${methods.join(' ')}`] : []),
    ...(paths ? [`paths ${paths.join(' ')}`] : []),
    ...(Object.keys(context).length > 0 ? [`app context ${JSON.stringify(context)}`] : []),
  ];
  return parts.join(', ');
}
