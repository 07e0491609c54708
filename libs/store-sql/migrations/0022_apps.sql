-- Up Migration
-- Apps that devices of a realm may be. Nodes of the version before let any app in.

create table "apps" (
  "realm" text not null,
  "id" text not null,
  "title" text not null,
  "platforms" json not null,
  "signers" json not null,
  "groups" json,
  "owners" json not null,
  "minimum" json,
  "removed_at" bigint,
  "row_mac" bytea,
  primary key ("realm", "id")
);
