import type { DirectoryGroupRow, IdentityRow, Table, Transaction } from '@sallyport/access';
import {
  equalText,
  MAX_RESULTS,
  matchesFilter,
  mentions,
  parseScimFilter,
  projected,
  type ScimFilter,
  type ScimObject,
  URNS,
} from '@sallyport/directory';
import type { RealmContext } from '../realm-context.ts';
import type { ScimClient } from './client.ts';
import { scimGroup } from './groups.ts';
import { bareUser, scimUser } from './users.ts';

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
const SCAN = 1_000;

interface Window {
  readonly start: number;
  readonly count: number;
}

/** Which part of the results is wanted: bad numbers count as their nearest good one, as the RFC says. */
function windowOf({ startIndex, count }: ListQuery): Window {
  const start = Math.max(1, Number.parseInt(startIndex ?? '1', 10) || 1);
  const wanted = Number.parseInt(count ?? String(DEFAULT_COUNT), 10);
  return { start, count: Math.min(MAX_RESULTS, Math.max(0, Number.isNaN(wanted) ? DEFAULT_COUNT : wanted)) };
}

interface Source<Row> {
  readonly table: Table<Row>;
  readonly where: Partial<Row>;
  /** Columns that are looked up for attributes which a filter wants equal. */
  readonly indexed: Readonly<Record<string, (text: string) => Partial<Row>>>;
  /** What the filter is matched against. */
  readonly seen: (row: Row) => Promise<ScimObject>;
}

async function select<Row>(
  source: Source<Row>,
  filter: ScimFilter | undefined,
  { start, count }: Window,
): Promise<{ rows: Row[]; total: number }> {
  const { table, where } = source;
  const offset = start - 1;
  if (!filter) {
    const rows = count === 0 ? [] : await table.list({ where, offset, limit: count });
    return { rows: [...rows], total: await table.count({ where }) };
  }
  const narrowed = narrow(source, filter);
  const rows: Row[] = [];
  let total = 0;
  for (let at = 0; ; at += SCAN) {
    const part = await table.list({ where: { ...where, ...narrowed }, offset: at, limit: SCAN });
    for (const row of part) {
      if (!matchesFilter(await source.seen(row), filter)) continue;
      total += 1;
      if (total > offset && rows.length < count) rows.push(row);
    }
    if (part.length < SCAN) return { rows, total };
  }
}

function narrow<Row>({ indexed }: Source<Row>, filter: ScimFilter): Partial<Row> {
  for (const [attribute, where] of Object.entries(indexed)) {
    const text = equalText(filter, attribute);
    if (text !== undefined) return where(text);
  }
  return {};
}

function listResponse(resources: readonly ScimObject[], total: number, { start }: Window): object {
  return {
    schemas: [URNS.list],
    totalResults: total,
    startIndex: start,
    itemsPerPage: resources.length,
    Resources: resources,
  };
}

/** Users that fit, a page of them. @throws ScimError invalidFilter */
export async function listScimUsers({ access }: RealmContext, client: ScimClient, query: ListQuery): Promise<object> {
  const filter = query.filter === undefined ? undefined : parseScimFilter(query.filter);
  const window = windowOf(query);
  return access.store.transaction(async (transaction) => {
    const withGroups = filter !== undefined && mentions(filter, 'groups');
    const source: Source<IdentityRow> = {
      table: transaction.tables.identities,
      where: { directory: client.directory },
      indexed: {
        userName: (text) => ({ login: text.toLowerCase() }),
        id: (subject) => ({ subject }),
      },
      seen: async (row) => (withGroups ? scimUser(client, transaction, row) : bareUser(client.base, row)),
    };
    const { rows, total } = await select(source, filter, window);
    const users = await Promise.all(rows.map((row) => scimUser(client, transaction, row)));
    return listResponse(
      users.map((user) => project(user, query)),
      total,
      window,
    );
  });
}

/** Groups that fit, a page of them. @throws ScimError invalidFilter */
export async function listScimGroups({ access }: RealmContext, client: ScimClient, query: ListQuery): Promise<object> {
  const filter = query.filter === undefined ? undefined : parseScimFilter(query.filter);
  const window = windowOf(query);
  return access.store.transaction(async (transaction) => {
    const withMembers = filter !== undefined && mentions(filter, 'members');
    const source: Source<DirectoryGroupRow> = {
      table: transaction.tables.directoryGroups,
      where: { directory: client.directory },
      indexed: { id: (subject) => ({ subject }) },
      seen: (row) => scimGroup(client, transaction, row, withMembers),
    };
    const { rows, total } = await select(source, filter, window);
    const wanted = wantsMembers(query);
    const groups: ScimObject[] = [];
    for (const row of rows) groups.push(project(await scimGroup(client, transaction, row, wanted), query));
    return listResponse(groups, total, window);
  });
}

/** Members of a large group are many: they are read only when they will be shown. */
export function wantsMembers({ attributes, excludedAttributes }: ListQuery): boolean {
  const names = (list: string): string[] => list.toLowerCase().split(/[ ,]+/);
  if (attributes !== undefined && attributes !== '')
    return names(attributes).some((name) => name.startsWith('members'));
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
    return row && scimUser(client, transaction, row);
  });
}

/** One group; undefined when there is none. */
export async function readScimGroupBy(
  { access }: RealmContext,
  client: ScimClient,
  subject: string,
  withMembers: boolean,
): Promise<ScimObject | undefined> {
  return access.store.transaction(async (transaction: Transaction) => {
    const row = await transaction.tables.directoryGroups.find({ directory: client.directory, subject });
    return row && scimGroup(client, transaction, row, withMembers);
  });
}
