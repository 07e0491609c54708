-- Up Migration
-- Directories. Everything here has a default, so that nodes of the version before go on writing.

alter table "users" add column "disabled_by" text;
alter table "users" add column "directory" text not null default '';
update "users" set "disabled_by" = 'operator' where not "enabled";

alter table "members" add column "source" text not null default '';
alter table "members" drop constraint "members_pkey";
alter table "members" add primary key ("realm", "group_name", "user_id", "source");
create index "members_source" on "members" ("realm", "source", "user_id");

alter table "sessions" add column "directory" text not null default '';
alter table "sessions" add column "provider_session" text;
alter table "sessions" add column "delegated" bytea;

alter table "operators" add column "user_id" text;

create table "directories" (
  "realm" text not null,
  "name" text not null,
  "kind" text not null,
  "stage" text not null,
  "settings" json not null,
  "secret" bytea,
  "state" json not null,
  "run_id" text,
  "run_node" text not null,
  "run_beat" bigint not null,
  "created_at" bigint not null,
  primary key ("realm", "name")
);

create table "identities" (
  "realm" text not null,
  "directory" text not null,
  "subject" text not null,
  "external_id" text not null,
  "user_id" text not null,
  "login" text not null,
  "active" boolean not null,
  "expires_at" bigint not null,
  "dn" text not null,
  "version" text not null,
  "attributes" json not null,
  "created_at" bigint not null,
  "changed_at" bigint not null,
  primary key ("realm", "directory", "subject")
);
create index "identities_user" on "identities" ("realm", "user_id");
create index "identities_login" on "identities" ("realm", "directory", "login");
create index "identities_external" on "identities" ("realm", "directory", "external_id");
create index "identities_expiry" on "identities" ("realm", "directory", "expires_at");

create table "directory_groups" (
  "realm" text not null,
  "directory" text not null,
  "subject" text not null,
  "external_id" text not null,
  "name" text not null,
  "group_name" text not null,
  "version" text not null,
  "created_at" bigint not null,
  "changed_at" bigint not null,
  primary key ("realm", "directory", "subject")
);
create index "directory_groups_group" on "directory_groups" ("realm", "group_name");

create table "account_groups" (
  "realm" text not null,
  "directory" text not null,
  "group_subject" text not null,
  "subject" text not null,
  primary key ("realm", "directory", "group_subject", "subject")
);
create index "account_groups_subject" on "account_groups" ("realm", "directory", "subject");

create table "directory_tokens" (
  "realm" text not null,
  "id" text not null,
  "directory" text not null,
  "token_hash" bytea not null,
  "created_at" bigint not null,
  "expires_at" bigint not null,
  unique ("realm", "token_hash"),
  primary key ("realm", "id")
);

create table "factors" (
  "realm" text not null,
  "user_id" text not null,
  "secret" bytea not null,
  "last_step" bigint not null,
  "created_at" bigint not null,
  primary key ("realm", "user_id")
);
