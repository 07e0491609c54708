-- Up Migration
-- A Proxy is who holds its key. Nodes of the version before go on writing rows without one.

alter table "proxies" add column "key_hash" text;
alter table "proxies" add column "next_key_hash" text;
alter table "join_tokens" add column "replaces" bigint;
alter table "join_tokens" add column "moves_from" text;
