-- Up Migration
-- Epochs of the revocation log, chained entries, generations of sessions. Everything here has a default, so that nodes of
-- the version before go on writing; what they append gets its place in the chain from the triggers below.

alter table "realms" add column "epoch" text not null default replace(gen_random_uuid()::text, '-', '');
alter table "realms" add column "supersedes" json not null default '[]';
alter table "realms" add column "closed" boolean not null default false;
alter table "realms" add column "held" boolean not null default true;
alter table "realms" add column "head_hash" text not null default '';
alter table "realms" add column "generation" bigint not null default 0;
-- Nobody noted it so far: the longest one that may be set.
alter table "realms" add column "longest_lease_ms" bigint not null default 300000;

alter table "sessions" add column "generation" bigint not null default 0;
alter table "sessions" add column "holders" json not null default '[]';

alter table "revocations" add column "salt" text not null default '';
alter table "revocations" add column "hash" text not null default '';

-- Content as libs/access/src/chain.ts writes it.
create function "entry_hash"("previous" text, "entry" "revocations") returns text language sql immutable as $$
  select encode(sha256(convert_to(concat_ws(E'\n', 'sallyport/1 log', "previous", ("entry")."index", ("entry")."kind",
    ("entry")."at", ("entry")."salt", ("entry")."subject"), 'UTF8')), 'hex')
$$;

create function "chain_entry"() returns trigger language plpgsql as $$
begin
  if new."hash" = '' then
    new."salt" := replace(gen_random_uuid()::text, '-', '');
    new."hash" := "entry_hash"(coalesce((select "hash" from "revocations"
      where "realm" = new."realm" and "index" = new."index" - 1), ''), new);
  end if;
  return new;
end $$;
create trigger "chain_entry" before insert on "revocations" for each row execute function "chain_entry"();

create function "chain_head"() returns trigger language plpgsql as $$
begin
  if new."head" <> old."head" and new."head_hash" = old."head_hash" then
    new."head_hash" := coalesce((select "hash" from "revocations"
      where "realm" = new."realm" and "index" = new."head"), '');
  end if;
  return new;
end $$;
create trigger "chain_head" before update on "realms" for each row execute function "chain_head"();

-- The entries there are.
do $$
declare
  "entry" "revocations";
  "previous" text;
begin
  for "entry" in select * from "revocations" order by "realm", "index" loop
    "previous" := coalesce((select "hash" from "revocations"
      where "realm" = "entry"."realm" and "index" = "entry"."index" - 1), '');
    "entry"."salt" := replace(gen_random_uuid()::text, '-', '');
    update "revocations" set "salt" = "entry"."salt", "hash" = "entry_hash"("previous", "entry")
      where "realm" = "entry"."realm" and "index" = "entry"."index";
  end loop;
end $$;
update "realms" set "head_hash" = coalesce((select "hash" from "revocations"
  where "revocations"."realm" = "realms"."realm" and "revocations"."index" = "realms"."head"), '');
