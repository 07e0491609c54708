import { Readable } from 'node:stream';
import {
  type AccessContext,
  type AccountListing,
  type AccountWithGroups,
  type DirectoryGroupRow,
  type GroupListing,
  type GroupWithMember,
  listAccounts,
  listSourceGroups,
} from '@sallyport/access';
import {
  comparedTexts,
  costOf,
  equalText,
  MAX_RESULTS,
  matchesFilter,
  mentions,
  Pace,
  parseScimFilter,
  projected,
  type ScimFilter,
  type ScimObject,
  URNS,
} from '@sallyport/directory';
import type { ScimClient } from './client.ts';
import { memberPages } from './groups.ts';
import { bareUser, fullUser } from './users.ts';

/** Query of a list (RFC 7644, section 3.4.2). */
export interface ListQuery {
  readonly filter?: string;
  readonly startIndex?: string;
  readonly count?: string;
  readonly attributes?: string;
  readonly excludedAttributes?: string;
}

const DEFAULT_COUNT = 100;
/** Farther than any list goes. */
const MAX_START = 1_000_000_000;
/** Characters of a resource that cost as much as one comparison. */
const CHARACTERS_PER_UNIT = 64;

interface Window {
  readonly start: number;
  readonly count: number;
}

/** Which part of the results is wanted: bad numbers count as their nearest good one, as the RFC says. */
function windowOf({ startIndex, count }: ListQuery): Window {
  const start = Math.min(MAX_START, Math.max(1, Number.parseInt(startIndex ?? '1', 10) || 1));
  const wanted = Number.parseInt(count ?? String(DEFAULT_COUNT), 10);
  return { start, count: Math.min(MAX_RESULTS, Math.max(0, Number.isNaN(wanted) ? DEFAULT_COUNT : wanted)) };
}

/** Keeps what fits a filter, in turns; undefined for no filter. `seen` is an item as the filter sees it. */
function sieveOf<Item>(
  filter: ScimFilter | undefined,
  seen: (item: Item) => ScimObject,
): ((part: readonly Item[]) => Promise<readonly Item[]>) | undefined {
  if (!filter) return undefined;
  const pace = new Pace();
  const cost = costOf(filter);
  return async (part) => {
    const kept: Item[] = [];
    for (const item of part) {
      const resource = seen(item);
      if (pace.spend(cost * sizeOf(resource))) await pace.rest();
      if (matchesFilter(resource, filter)) kept.push(item);
    }
    return kept;
  };
}

/** About what one comparison with a resource may cost: as many as it has values. */
function sizeOf(resource: ScimObject): number {
  return 1 + JSON.stringify(resource).length / CHARACTERS_PER_UNIT;
}

/** What the first indexed attribute must be for a filter to match, as its column; undefined when it says nothing of them. */
function indexedBy<Columns>(
  filter: ScimFilter | undefined,
  indexed: Readonly<Record<string, (text: string) => Columns>>,
): Columns | undefined {
  for (const [attribute, columnsOf] of filter ? Object.entries(indexed) : []) {
    const text = equalText(filter!, attribute);
    if (text !== undefined) return columnsOf(text);
  }
  return undefined;
}

/** An answer that is written while it is made: its resources may be many and large. */
export type Written = Readable;

function writtenList(
  resources: AsyncIterable<string>,
  total: number,
  { start, items }: { start: number; items: number },
) {
  const head = { schemas: [URNS.list], totalResults: total, startIndex: start, itemsPerPage: items };
  return Readable.from(listText(JSON.stringify(head), resources));
}

async function* listText(head: string, resources: AsyncIterable<string>): AsyncGenerator<string> {
  yield `${head.slice(0, -1)},"Resources":[`;
  yield* resources;
  yield ']}';
}

/** Users that fit, a page of them. @throws ScimError invalidFilter */
export async function listScimUsers(access: AccessContext, client: ScimClient, query: ListQuery): Promise<Written> {
  const filter = query.filter === undefined ? undefined : parseScimFilter(query.filter);
  const { start, count } = windowOf(query);
  const { directory, base } = client;
  const sievesGroups = filter !== undefined && mentions(filter, 'groups');
  const { items, total } = await listAccounts(access, directory, {
    only: indexedBy<NonNullable<AccountListing['only']>>(filter, {
      userName: (text) => ({ login: text.toLowerCase() }),
      externalId: (externalId) => ({ externalId }),
      id: (subject) => ({ subject }),
    }),
    sievesGroups,
    sieve: sieveOf(filter, (item: AccountWithGroups) =>
      sievesGroups ? fullUser(base, item) : bareUser(base, item.account),
    ),
    offset: start - 1,
    limit: count,
  });
  const users = items.map((item) => fullUser(base, item));
  return writtenList(userTexts(users, query), total, { start, items: users.length });
}

async function* userTexts(users: readonly ScimObject[], query: ListQuery): AsyncGenerator<string> {
  for (const [i, user] of users.entries()) yield `${i === 0 ? '' : ','}${JSON.stringify(project(user, query))}`;
}

/** Groups that fit, a page of them. A filter that wants a member looks at its groups only. @throws ScimError invalidFilter */
export async function listScimGroups(access: AccessContext, client: ScimClient, query: ListQuery): Promise<Written> {
  const filter = query.filter === undefined ? undefined : parseScimFilter(query.filter);
  const { start, count } = windowOf(query);
  const members = filter === undefined ? [] : comparedTexts(filter, 'members');
  const { items, total } = await listSourceGroups(access, client.directory, {
    only: indexedBy<NonNullable<GroupListing['only']>>(filter, {
      id: (subject) => ({ subject }),
      externalId: (externalId) => ({ externalId }),
      members: (member) => ({ member }),
    }),
    members,
    sieve: sieveOf(filter, (item: GroupWithMember) => groupSeen(client.base, item, members.length > 0)),
    offset: start - 1,
    limit: count,
  });
  return writtenList(groupsText(access, client, { rows: items, query }), total, { start, items: items.length });
}

function groupSeen(base: string, { group, members }: GroupWithMember, withMembers: boolean): ScimObject {
  const bare = bareGroup(base, group);
  return withMembers ? { ...bare, members: members.map((value) => ({ value })) } : bare;
}

/** A stored group without its members. */
function bareGroup(base: string, row: DirectoryGroupRow): ScimObject {
  return {
    schemas: [URNS.group],
    id: row.subject,
    ...(row.externalId === '' ? {} : { externalId: row.externalId }),
    displayName: row.name,
    meta: {
      resourceType: 'Group',
      created: new Date(row.createdAt).toISOString(),
      lastModified: new Date(row.changedAt).toISOString(),
      location: `${base}/Groups/${row.subject}`,
    },
  };
}

async function* groupsText(
  access: AccessContext,
  client: ScimClient,
  { rows, query }: { rows: readonly DirectoryGroupRow[]; query: ListQuery },
): AsyncGenerator<string> {
  for (const [i, row] of rows.entries()) {
    if (i > 0) yield ',';
    yield* groupText(access, client, { row, query });
  }
}

/** A group as it is written, page by page of its members when they are wanted: there may be very many. */
async function* groupText(
  access: AccessContext,
  client: ScimClient,
  { row, query }: { row: DirectoryGroupRow; query: ListQuery },
): AsyncGenerator<string> {
  yield JSON.stringify(project(bareGroup(client.base, row), query)).slice(0, -1);
  if (wantsMembers(query)) {
    let begun = false;
    for await (const page of memberPages(access, client, row.subject)) {
      const members = page.map((value) => JSON.stringify({ value, $ref: `${client.base}/Users/${value}` }));
      yield `${begun ? ',' : ',"members":['}${members.join(',')}`;
      begun = true;
    }
    if (begun) yield ']';
  }
  yield '}';
}

/** A group as its client wants it. */
export function writtenGroup(
  access: AccessContext,
  client: ScimClient,
  of: { readonly row: DirectoryGroupRow; readonly query: ListQuery },
): Written {
  return Readable.from(groupText(access, client, of));
}

/** Members of a large group are many: they are read only when they will be shown. */
function wantsMembers({ attributes, excludedAttributes }: ListQuery): boolean {
  const names = (list: string): string[] =>
    list
      .toLowerCase()
      .split(/[ ,]+/)
      .map((name) => name.replace(/^urn:.*:/, '').split('.')[0]!);
  if (attributes !== undefined && attributes !== '') return names(attributes).includes('members');
  return !names(excludedAttributes ?? '').includes('members');
}

/** A resource as a query wants it. */
export function project(resource: ScimObject, { attributes, excludedAttributes }: ListQuery): ScimObject {
  return projected(resource, attributes, excludedAttributes);
}
