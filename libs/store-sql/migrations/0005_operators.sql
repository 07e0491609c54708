-- Up Migration
-- An operator is a row of its own, and tokens hang on it. Nodes of the version before know no operator meanwhile; nothing else
-- of theirs is touched.

alter table "operators" add column "origin" text not null default 'invite';
alter table "operators" add column "place" text not null default '';
alter table "operators" add column "invited_by" text not null default '';
alter table "operators" add column "ends_at" bigint not null default 9007199254740991;
alter table "operators" add column "ended_at" bigint;
alter table "operators" add column "end_reason" text;

create table "operator_tokens" (
  "realm" text not null,
  "id" text not null,
  "operator_id" text not null,
  "token_hash" bytea not null,
  "one_time" boolean not null,
  "created_at" bigint not null,
  "expires_at" bigint not null,
  "used_at" bigint,
  "request_id" text,
  "replaces" text,
  unique ("realm", "token_hash"),
  primary key ("realm", "id")
);
create index "operator_tokens_operator" on "operator_tokens" ("realm", "operator_id");
create index "operators_live" on "operators" ("realm", "name") where "ended_at" is null;

-- One-time tokens of before are void: their names were no promise. Credentials go on.
update "operators" set "ended_at" = "created_at", "end_reason" = 'a one-time token of an earlier version' where "one_time";
update "operators" set "origin" = 'provider' where "user_id" is not null;
-- Two of one name were two credentials of whoever called themselves so: the audit log could not tell them apart either.
update "operators" o set "name" = left(o."name", 55) || '-' || left(o."id", 8)
  where not o."one_time" and exists (
    select 1 from "operators" p where p."realm" = o."realm" and p."name" = o."name" and not p."one_time" and p."id" < o."id"
  );
insert into "operator_tokens" ("realm", "id", "operator_id", "token_hash", "one_time", "created_at", "expires_at", "used_at")
  select "realm", "id", "id", "token_hash", false, "created_at", "expires_at", "created_at"
  from "operators" where not "one_time" and "token_hash" is not null;
alter table "operators" drop column "token_hash";
alter table "operators" drop column "one_time";
alter table "operators" drop column "expires_at";
