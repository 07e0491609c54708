import { Readable } from 'node:stream';
import type { DirectoryGroupRow, IdentityRow, Selection, Table, Transaction } from '@sallyport/access';
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
import type { RealmContext } from '../realm-context.ts';
import type { ScimClient } from './client.ts';
import { memberPages, membersAmong } from './groups.ts';
import { bareUser, withGroups } from './users.ts';

/** Query of a list (RFC 7644, section 3.4.2). */
export interface ListQuery {
  readonly filter?: string;
  readonly startIndex?: string;
  readonly count?: string;
  readonly attributes?: string;
  readonly excludedAttributes?: string;
}

const DEFAULT_COUNT = 100;
/** Rows that are looked at together when a filter has no index. */
const SCAN = 200;
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

interface Source<Row> {
  readonly table: Table<Row>;
  readonly where: Partial<Row>;
  /** Which rows may fit at all, as an index knows. */
  readonly narrowed: Selection<Row>;
  /** What rows are when the filter is matched against them. */
  readonly seen: (rows: readonly Row[]) => Promise<readonly ScimObject[]>;
}

interface Found<Row> {
  readonly rows: readonly Row[];
  readonly total: number;
}

async function select<Row extends { readonly subject: string }>(
  source: Source<Row>,
  filter: ScimFilter | undefined,
  { start, count }: Window,
): Promise<Found<Row>> {
  const { table, where, narrowed } = source;
  const offset = start - 1;
  if (!filter) {
    const rows = count === 0 ? [] : await table.list({ where, offset, limit: count });
    return { rows, total: await table.count({ where }) };
  }
  const pace = new Pace();
  const cost = costOf(filter);
  const rows: Row[] = [];
  let total = 0;
  const selection = { ...narrowed, where: { ...where, ...narrowed.where } };
  for (let after = ''; ; ) {
    const part = await table.list({ ...selection, above: ['subject', after], limit: SCAN });
    const seen = await source.seen(part);
    for (const [i, row] of part.entries()) {
      if (pace.spend(cost * sizeOf(seen[i]!))) await pace.rest();
      if (!matchesFilter(seen[i]!, filter)) continue;
      total += 1;
      if (total > offset && rows.length < count) rows.push(row);
    }
    if (part.length < SCAN) return { rows, total };
    after = part.at(-1)!.subject;
  }
}

/** About what one comparison with a resource may cost: as many as it has values. */
function sizeOf(resource: ScimObject): number {
  return 1 + JSON.stringify(resource).length / CHARACTERS_PER_UNIT;
}

/** The text that an indexed attribute must be equal to. */
function narrow<Row>(
  filter: ScimFilter | undefined,
  indexed: Readonly<Record<string, (text: string) => Partial<Row>>>,
): Selection<Row> {
  for (const [attribute, where] of filter ? Object.entries(indexed) : []) {
    const text = equalText(filter!, attribute);
    if (text !== undefined) return { where: where(text) };
  }
  return {};
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
export async function listScimUsers({ access }: RealmContext, client: ScimClient, query: ListQuery): Promise<Written> {
  const filter = query.filter === undefined ? undefined : parseScimFilter(query.filter);
  const window = windowOf(query);
  const { users, total } = await access.store.transaction(async (transaction) => {
    const groupsMatter = filter !== undefined && mentions(filter, 'groups');
    const source: Source<IdentityRow> = {
      table: transaction.tables.identities,
      where: { directory: client.directory },
      narrowed: narrow<IdentityRow>(filter, {
        userName: (text) => ({ login: text.toLowerCase() }),
        externalId: (externalId) => ({ externalId }),
        id: (subject) => ({ subject }),
      }),
      seen: async (rows) =>
        groupsMatter ? withGroups(client, transaction, rows) : rows.map((row) => bareUser(client.base, row)),
    };
    const found = await select(source, filter, window);
    return { users: await withGroups(client, transaction, found.rows), total: found.total };
  });
  return writtenList(userTexts(users, query), total, { start: window.start, items: users.length });
}

async function* userTexts(users: readonly ScimObject[], query: ListQuery): AsyncGenerator<string> {
  for (const [i, user] of users.entries()) yield `${i === 0 ? '' : ','}${JSON.stringify(project(user, query))}`;
}

/** Groups that fit, a page of them. @throws ScimError invalidFilter */
export async function listScimGroups(context: RealmContext, client: ScimClient, query: ListQuery): Promise<Written> {
  const filter = query.filter === undefined ? undefined : parseScimFilter(query.filter);
  const window = windowOf(query);
  const members = filter === undefined ? [] : comparedTexts(filter, 'members');
  const { rows, total } = await context.access.store.transaction(async (transaction) => {
    const source: Source<DirectoryGroupRow> = {
      table: transaction.tables.directoryGroups,
      where: { directory: client.directory },
      narrowed: await narrowGroups(transaction, client, filter),
      seen: async (found) => {
        const seen: ScimObject[] = [];
        for (const row of found) seen.push(await groupSeen(client, transaction, { row, members }));
        return seen;
      },
    };
    return select(source, filter, window);
  });
  return writtenList(groupsText(context, client, { rows, query }), total, { start: window.start, items: rows.length });
}

/** A filter that wants a member looks at the groups of that member only. */
async function narrowGroups(
  { tables }: Transaction,
  { directory }: ScimClient,
  filter: ScimFilter | undefined,
): Promise<Selection<DirectoryGroupRow>> {
  const narrowed = narrow<DirectoryGroupRow>(filter, {
    id: (subject) => ({ subject }),
    externalId: (externalId) => ({ externalId }),
  });
  const member = filter && equalText(filter, 'members');
  if (narrowed.where || member === undefined) return narrowed;
  const joined = await tables.accountGroups.list({ where: { directory, subject: member } });
  return { among: ['subject', joined.map(({ groupSubject }) => groupSubject)] };
}

async function groupSeen(
  { base }: ScimClient,
  transaction: Transaction,
  { row, members }: { row: DirectoryGroupRow; members: readonly string[] },
): Promise<ScimObject> {
  if (members.length === 0) return bareGroup(base, row);
  const found = await membersAmong(transaction, row, members);
  return { ...bareGroup(base, row), members: found.map((value) => ({ value })) };
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
  context: RealmContext,
  client: ScimClient,
  { rows, query }: { rows: readonly DirectoryGroupRow[]; query: ListQuery },
): AsyncGenerator<string> {
  for (const [i, row] of rows.entries()) {
    if (i > 0) yield ',';
    yield* groupText(context, client, { row, query });
  }
}

/** A group as it is written, page by page of its members when they are wanted: there may be very many. */
async function* groupText(
  context: RealmContext,
  client: ScimClient,
  { row, query }: { row: DirectoryGroupRow; query: ListQuery },
): AsyncGenerator<string> {
  yield JSON.stringify(project(bareGroup(client.base, row), query)).slice(0, -1);
  if (wantsMembers(query)) {
    let begun = false;
    for await (const page of memberPages(context, client, row.subject)) {
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
  context: RealmContext,
  client: ScimClient,
  of: { readonly row: DirectoryGroupRow; readonly query: ListQuery },
): Written {
  return Readable.from(groupText(context, client, of));
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

/** One user; undefined when there is none. */
export async function readScimUserBy(
  { access }: RealmContext,
  client: ScimClient,
  subject: string,
): Promise<ScimObject | undefined> {
  return access.store.transaction(async (transaction: Transaction) => {
    const row = await transaction.tables.identities.find({ directory: client.directory, subject });
    return row && (await withGroups(client, transaction, [row]))[0];
  });
}
