-- Up Migration
-- Rows that decide who is in carry a MAC by a key that is not in this database, and the realm knows its key-encryption keys
-- by a value that tells them apart.

create table "keks" (
  "realm" text not null,
  "id" bigint not null,
  "check_value" bytea not null,
  primary key ("realm", "id")
);

alter table "realms" add column "row_mac" bytea;
alter table "users" add column "row_mac" bytea;
alter table "members" add column "row_mac" bytea;
alter table "codes" add column "row_mac" bytea;
alter table "installations" add column "row_mac" bytea;
alter table "sessions" add column "row_mac" bytea;
alter table "resources" add column "row_mac" bytea;
alter table "policies" add column "row_mac" bytea;
alter table "keys" add column "row_mac" bytea;
alter table "operators" add column "row_mac" bytea;
alter table "operator_tokens" add column "row_mac" bytea;
alter table "sites" add column "row_mac" bytea;
alter table "proxies" add column "row_mac" bytea;
alter table "join_tokens" add column "row_mac" bytea;
alter table "directories" add column "row_mac" bytea;
alter table "identities" add column "row_mac" bytea;
alter table "directory_tokens" add column "row_mac" bytea;
alter table "factors" add column "row_mac" bytea;
