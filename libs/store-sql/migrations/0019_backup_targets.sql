-- Up Migration
-- Where exports of a realm go: whose turn it is there, and what was last seen. Nodes of the version before leave it alone.

create table "backup_targets" (
  "realm" text not null,
  "place" text not null,
  "run_id" text,
  "run_node" text not null,
  "run_beat" bigint not null,
  "tried_at" bigint not null,
  "state" json not null,
  "row_mac" bytea,
  primary key ("realm", "place")
);
