-- Up Migration
-- A handshake key is published when every node has it, and retired when its time is over. Nodes of the version before go on
-- writing; the keys they made are published already.

alter table "keys" add column "published_at" bigint;
alter table "keys" add column "retired_at" bigint;
alter table "keys" alter column "secret" drop not null;
update "keys" set "published_at" = "created_at" where "purpose" = 'handshake';

alter table "nodes" add column "key_id" text not null default '';
