-- Up Migration
-- An operator and the directory each say for themselves whether a user is out. Everything here has a default, so that nodes
-- of the version before go on writing; "disabled_by" is theirs alone.

alter table "users" add column "out_by_operator" boolean not null default false;
alter table "users" add column "out_by_directory" boolean not null default false;
alter table "users" add column "past_account" text not null default '';
update "users" set "out_by_operator" = "disabled_by" is distinct from 'directory', "out_by_directory" = coalesce("disabled_by" = 'directory', false)
  where not "enabled";
create index "users_directory" on "users" ("realm", "directory", "past_account") where "past_account" <> '';

-- Names that a directory gives once only. Where an account or a group has the name of an older one, the older one keeps it.
alter table "identities" add column "only_name" text;
update "identities" set "only_name" = "chosen"."directory" || '/' || "chosen"."login"
  from (
    select distinct on (i."realm", i."directory", i."login") i."realm", i."directory", i."login", i."subject"
      from "identities" i join "directories" d on d."realm" = i."realm" and d."name" = i."directory" and d."kind" = 'scim'
      order by i."realm", i."directory", i."login", i."created_at", i."subject"
  ) as "chosen"
  where "identities"."realm" = "chosen"."realm" and "identities"."directory" = "chosen"."directory"
    and "identities"."subject" = "chosen"."subject";
create unique index "identities_only_name" on "identities" ("realm", "only_name");

alter table "directory_groups" add column "only_name" text;
create unique index "directory_groups_only_name" on "directory_groups" ("realm", "only_name");
create index "directory_groups_external" on "directory_groups" ("realm", "directory", "external_id");
