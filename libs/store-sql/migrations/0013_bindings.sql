-- Up Migration
-- Accounts of providers that are to be, or ask to be, a user's.

create table "bindings" (
  "realm" text not null,
  "id" text not null,
  "directory" text not null,
  "user_id" text not null,
  "subject" text not null,
  "login" text not null,
  "email" text not null,
  "state" text not null,
  "created_at" bigint not null,
  "row_mac" bytea,
  primary key ("realm", "id")
);
create index "bindings_user" on "bindings" ("realm", "user_id");
