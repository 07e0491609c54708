-- Up Migration
-- The certificates that nodes and Proxies show, as each says of itself: for whoever looks after them. Nothing is decided by it.

create table "seen_certificates" (
  "realm" text not null,
  "holder" text not null,
  "certificates" json not null,
  "seen_at" bigint not null,
  primary key ("realm", "holder")
);
