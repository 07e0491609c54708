-- Up Migration
-- Links by which somebody installs an app on a phone that has nothing of the realm yet. Each is good once, for one user.

create table "install_links" (
  "realm" text not null,
  "id" text not null,
  "user_id" text not null,
  "app_id" text not null,
  "origin" text not null,
  "created_at" bigint not null,
  "expires_at" bigint not null,
  "claim_hash" bytea,
  "claimed_at" bigint,
  "reads" bigint not null,
  "row_mac" bytea,
  primary key ("realm", "id"),
  unique ("realm", "claim_hash")
);
create index "install_links_expires_at" on "install_links" ("realm", "expires_at");
