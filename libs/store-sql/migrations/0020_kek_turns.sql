-- Up Migration
-- A key-encryption key is turned while all nodes run: what each node has, the parcel with the new key for it, and how far the turn is.
-- Who can write here, but has none of the keys, can hold a turn up and learns nothing: what counts carries a MAC.

alter table "keks" add column "created_at" bigint;
alter table "keks" add column "retired_at" bigint;
alter table "keks" add column "forgotten" bytea;

create table "kek_turns" (
  "realm" text not null,
  "id" text not null,
  "turn" text not null,
  "kek" bigint not null,
  "from" json not null,
  "state" text not null,
  "without" json not null,
  "actor" text not null,
  "reason" text not null,
  "started_at" bigint not null,
  "changed_at" bigint not null,
  "renewed" bigint not null,
  "forged" bigint not null,
  "mac" bytea not null,
  primary key ("realm", "id")
);

create table "kek_holders" (
  "realm" text not null,
  "node" text not null,
  "instance" text not null,
  "public_key" bytea not null,
  "keks" json not null,
  "current" bigint not null,
  "mac" bytea not null,
  "parcel_kek" bigint,
  "parcel" bytea,
  "parcel_mac" bytea,
  primary key ("realm", "node")
);
