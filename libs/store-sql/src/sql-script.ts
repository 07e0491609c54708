import { Buffer } from 'node:buffer';
import { schemaScript } from './migrate.ts';
import { quoteName } from './realm-tables.ts';
import type { RealmSnapshot } from './snapshot.ts';

/** What is open is used: nobody replaces it by running a file in the wrong place. */
const REFUSE_OPEN = `do $$
declare opened bigint := 0;
begin
  if to_regclass('realms') is not null then
    execute 'select count(*) from "realms" where not "closed"' into opened;
  end if;
  if opened > 0 then
    raise exception 'this database is in use: its realm is open';
  end if;
  if to_regclass('journal_claims') is not null then
    raise exception 'this database keeps a journal, which is no copy of a realm';
  end if;
end $$;
`;

/**
 * A realm as one SQL script for `psql -f`: in one transaction it makes everything in the schema `public` anew, and leaves the realm
 * closed. It refuses a database with an open realm. Names and e-mail addresses are in it as in the database, secrets wrapped.
 */
export async function* realmScript(snapshot: RealmSnapshot): AsyncIterable<Uint8Array> {
  const text = (lines: string): Uint8Array => Buffer.from(lines);
  yield text(`-- Sallyport: a realm as of ${new Date(snapshot.takenAt).toISOString()}, epoch ${snapshot.epoch}
-- psql -v ON_ERROR_STOP=1 -f FILE, as the owner of the database; then "sallyport standby takeover" or "realm new-epoch"
\\set ON_ERROR_STOP on
begin;
set local client_encoding = 'UTF8';
set local standard_conforming_strings = on;
${REFUSE_OPEN}drop schema public cascade;
create schema public;
set local search_path = public;
${schemaScript(snapshot.migration)}`);
  for (const { name, columns, rows } of snapshot.parts) {
    // A migration may have put rows in; what counts is what was there.
    yield text(
      `delete from ${quoteName(name)};\ncopy ${quoteName(name)} (${columns.map(quoteName).join(', ')}) from stdin;\n`,
    );
    yield* rows();
    yield text('\\.\n');
  }
  yield text('update "realms" set "closed" = true;\ncommit;\n');
}
