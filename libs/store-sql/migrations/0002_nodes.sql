-- Up Migration
-- Several Security nodes. Everything here has a default, so that nodes of the version before go on writing.

alter table "realms" add column "map_version" bigint not null default (extract(epoch from now()) * 1000)::bigint;

alter table "sessions" add column "chan_request" text;
create index "sessions_created" on "sessions" ("realm", "created_at");

alter table "leases" add column "beat" bigint not null default 0;
alter table "leases" add column "lease_ms" bigint not null default 15000;
alter table "leases" add column "node" text not null default '';

create table "nodes" (
  "realm" text not null,
  "id" text not null,
  "proxy_url" text not null,
  "admin_url" text not null,
  "version" text not null,
  "started_at" bigint not null,
  "state" text not null,
  "beat" bigint not null,
  "seen_at" bigint not null,
  "clock_offset_ms" bigint not null,
  "degraded" json not null,
  primary key ("realm", "id")
);
