-- Up Migration
-- What is kept of a realm beside its database: standbys, copies, an archive, and when each was last known to be good.

create table "safeguards" (
  "realm" text not null,
  "kind" text not null,
  "name" text not null,
  "address" text not null,
  "good_at" bigint not null,
  "due_ms" bigint not null,
  "up_to" bigint not null,
  "row_mac" bytea,
  primary key ("realm", "kind", "name")
);
