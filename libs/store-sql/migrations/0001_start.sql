-- Up Migration
-- Every table carries its realm in front of its key. Times are epoch milliseconds. Secrets are wrapped: the key that opens
-- them is not in this database.

create table "realms" (
  "realm" text not null,
  "id" text not null,
  "head" bigint not null,
  "policy_version" bigint not null,
  "not_before" bigint not null,
  "settings" json not null,
  primary key ("realm", "id")
);

create table "users" (
  "realm" text not null,
  "id" text not null,
  "name" text not null,
  "display_name" text not null,
  "password_hash" text,
  "enabled" boolean not null,
  "created_at" bigint not null,
  unique ("realm", "name"),
  primary key ("realm", "id")
);

create table "groups" (
  "realm" text not null,
  "name" text not null,
  "created_at" bigint not null,
  primary key ("realm", "name")
);

create table "members" (
  "realm" text not null,
  "group_name" text not null,
  "user_id" text not null,
  primary key ("realm", "group_name", "user_id")
);

create table "codes" (
  "realm" text not null,
  "id" text not null,
  "user_id" text not null,
  "secret_hash" bytea not null,
  "expires_at" bigint not null,
  "tries_left" bigint not null,
  "used_at" bigint,
  "installation_id" text,
  "created_at" bigint not null,
  primary key ("realm", "id")
);

create table "installations" (
  "realm" text not null,
  "id" text not null,
  "user_id" text not null,
  "device_static" bytea not null,
  "signing_key" json not null,
  "status" text not null,
  "generation" bigint not null,
  "current_key" bytea not null,
  "next_key" bytea,
  "previous_key" bytea,
  "rotated_at" bigint not null,
  "app" text not null,
  "model" text not null,
  "created_at" bigint not null,
  "last_seen_at" bigint,
  unique ("realm", "device_static"),
  primary key ("realm", "id")
);

create table "sessions" (
  "realm" text not null,
  "id" text not null,
  "installation_id" text not null,
  "user_id" text not null,
  "secret" bytea not null,
  "app" text not null,
  "created_at" bigint not null,
  "expires_at" bigint not null,
  "chan_no" bigint not null,
  "ended_at" bigint,
  "end_reason" text,
  primary key ("realm", "id")
);

create table "resources" (
  "realm" text not null,
  "name" text not null,
  "kind" text not null,
  "authority" text not null,
  "title" text not null,
  "backend" json not null,
  unique ("realm", "authority"),
  primary key ("realm", "name")
);

create table "policies" (
  "realm" text not null,
  "name" text not null,
  "groups" json not null,
  "resources" json not null,
  "rule" json not null,
  primary key ("realm", "name")
);

create table "revocations" (
  "realm" text not null,
  "index" bigint not null,
  "request_id" text not null,
  "kind" text not null,
  "subject" text not null,
  "reason" text not null,
  "actor" text not null,
  "at" bigint not null,
  unique ("realm", "request_id"),
  primary key ("realm", "index")
);

create table "leases" (
  "realm" text not null,
  "proxy" text not null,
  "applied" bigint not null,
  "expires_at" bigint not null,
  "channels" bigint not null,
  primary key ("realm", "proxy")
);

create table "audit" (
  "realm" text not null,
  "seq" bigint not null,
  "at" bigint not null,
  "actor" text not null,
  "action" text not null,
  "subject" text not null,
  "outcome" text not null,
  "reason" text not null,
  "previous_hash" bytea not null,
  "hash" bytea not null,
  primary key ("realm", "seq")
);

create table "audit_heads" (
  "realm" text not null,
  "id" text not null,
  "seq" bigint not null,
  "hash" bytea not null,
  primary key ("realm", "id")
);

create table "keys" (
  "realm" text not null,
  "id" text not null,
  "purpose" text not null,
  "public_part" json not null,
  "secret" bytea not null,
  "created_at" bigint not null,
  "expires_at" bigint not null,
  primary key ("realm", "id")
);

create table "operators" (
  "realm" text not null,
  "id" text not null,
  "name" text not null,
  "token_hash" bytea not null,
  "one_time" boolean not null,
  "created_at" bigint not null,
  "expires_at" bigint not null,
  unique ("realm", "token_hash"),
  primary key ("realm", "id")
);

create table "sites" (
  "realm" text not null,
  "name" text not null,
  "origins" json not null,
  "resources" json not null,
  primary key ("realm", "name")
);

create table "proxies" (
  "realm" text not null,
  "name" text not null,
  "site" text not null,
  "joined_at" bigint not null,
  "revoked_at" bigint,
  primary key ("realm", "name")
);

create table "join_tokens" (
  "realm" text not null,
  "id" text not null,
  "token_hash" bytea not null,
  "proxy" text not null,
  "site" text not null,
  "expires_at" bigint not null,
  primary key ("realm", "id")
);

create index "sessions_installation" on "sessions" ("realm", "installation_id") where "ended_at" is null;
create index "sessions_user" on "sessions" ("realm", "user_id") where "ended_at" is null;
create index "members_user" on "members" ("realm", "user_id");
create index "installations_user" on "installations" ("realm", "user_id");
create index "codes_user" on "codes" ("realm", "user_id");
create index "revocations_app" on "revocations" ("realm", "subject") where "kind" = 'app';
