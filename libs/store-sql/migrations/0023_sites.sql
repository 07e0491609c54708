-- Up Migration
-- Resources name their sites, sites have leases of their own, policies rules by place. Nulls are what there was before: every site, the lease of
-- the nodes, no such rule. A row that holds more carries a MAC that nodes of the version before do not know, so they give nothing for it.

alter table "resources" add column "sites" json;
alter table "resources" add column "region" text;
alter table "policies" add column "place" json;
alter table "sites" add column "lease_ms" bigint;
alter table "sites" add column "drained_at" bigint;
-- What a Proxy says of itself with its beats: for people to read.
alter table "leases" add column "requests" bigint not null default 0;
alter table "leases" add column "bytes" bigint not null default 0;
alter table "leases" add column "rtt_ms" bigint;
