-- Up Migration
-- The newest evidence of each installation: what its platform vouches for, how strongly, and since when. It goes with the installation.

create table "evidence" (
  "realm" text not null,
  "installation_id" text not null,
  "connector" text not null,
  "level" text,
  "at" bigint not null,
  "facts" json not null,
  "challenged_at" bigint not null,
  "key_id" text,
  "public_key" bytea,
  "counter" bigint not null,
  "row_mac" bytea,
  primary key ("realm", "installation_id")
);
