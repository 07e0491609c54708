-- Up Migration
-- Sets of shares of the realm's keys: who has one, which keys are in them, and who proved that theirs opens. No share, and no key.

create table "escrows" (
  "realm" text not null,
  "id" text not null,
  "threshold" bigint not null,
  "officers" json not null,
  "keks" json not null,
  "drill_key" text not null,
  "created_at" bigint not null,
  "proofs" json not null,
  "drilled_at" bigint,
  "ended_at" bigint,
  "row_mac" bytea,
  primary key ("realm", "id")
);
