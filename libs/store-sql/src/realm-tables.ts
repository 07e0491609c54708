import type pg from 'pg';

/** A table that holds rows of realms, as the database itself describes it. */
export interface TableOfRealm {
  readonly name: string;
  /** All its columns, the realm among them, in the order of the database. */
  readonly columns: readonly string[];
}

/** Tables that are in no export, and why. Whatever else begins its key with the realm is in each. */
export const LEFT_OUT: Readonly<Record<string, string>> = {
  schema_migrations: 'made by the migrations, up to that which the manifest names',
  schema_least: 'made by the migrations',
  journal_identities: 'says which server a journal is: a copy would pass itself off for it',
  journal_claims: 'the journal is kept apart from the realm: a restore reads it as it is',
  journal_entries: 'the journal is kept apart from the realm: a restore reads it as it is',
};

/** Tables whose key begins with the realm; what a later version adds is among them, known here or not. */
const TABLES = `select c.relname as "name",
    array_agg(a.attname::text order by a.attnum) as "columns"
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
  where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and exists (
    select 1 from pg_index i join pg_attribute k on k.attrelid = c.oid and k.attnum = i.indkey[0]
    where i.indrelid = c.oid and i.indisprimary and k.attname = 'realm')
  group by c.relname order by c.relname`;

/** Tables of realms in the order of their names. */
export async function realmTables(client: pg.Client): Promise<readonly TableOfRealm[]> {
  const { rows } = await client.query<TableOfRealm>(TABLES);
  return rows.filter(({ name }) => !(name in LEFT_OUT));
}

/** A name of the catalog in SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
