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

/** What was here, to be held against what has come, once that is there: in the same transaction, so that a refusal leaves all as it was. */
const NOTE_REPLACED = `create temporary table "replaced" ("realm" text, "epoch" text, "head" bigint) on commit drop;
do $$
begin
  if to_regclass('realms') is not null then
    execute 'insert into "replaced" select "realm", "epoch", "head" from "realms"';
  end if;
end $$;
`;

/** A closed realm may have lived by itself, at a site that has taken over and was closed since: that is nobody's copy. */
const REFUSE_OTHER_LIFE = `do $$
begin
  if exists (select from pg_temp."replaced" "old" where not exists (select from "realms" "new" where "new"."realm" = "old"."realm"
    and ("new"."epoch" = "old"."epoch" and "new"."head" >= "old"."head"
      or "old"."epoch" in (select json_array_elements_text(
        case json_typeof("new"."supersedes") when 'array' then "new"."supersedes" else '[]' end))))) then
    raise exception 'the realm of this database has lived on by itself since it was copied: it is no copy that may be replaced';
  end if;
end $$;
`;

/**
 * A realm as one SQL script for `psql -f`: in one transaction it makes everything in the schema `public` anew, and leaves the realm
 * closed. It refuses a database with an open realm, or with one that
 * is not an earlier state of this one. Names and e-mail addresses are in it as in the database, secrets wrapped.
 */
export async function* realmScript(snapshot: RealmSnapshot): AsyncIterable<Uint8Array> {
  const text = (lines: string): Uint8Array => Buffer.from(lines);
  // Whoever writes to the database must not write a line of this script.
  const epoch = snapshot.epoch.replace(/[^0-9a-f]/g, '?');
  yield text(`-- Sallyport: a realm as of ${new Date(snapshot.takenAt).toISOString()}, epoch ${epoch}
-- psql -v ON_ERROR_STOP=1 -f FILE, as the owner of the database; then "sallyport standby takeover" or "realm new-epoch"
\\set ON_ERROR_STOP on
begin;
set local client_encoding = 'UTF8';
set local standard_conforming_strings = on;
${REFUSE_OPEN}${NOTE_REPLACED}drop schema public cascade;
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
  yield text(`${REFUSE_OTHER_LIFE}update "realms" set "closed" = true;\ncommit;\n`);
}
