-- Up Migration
-- Releases of apps, the signed metadata by which devices know them, what devices said of them, and pipelines that publish.

create table "releases" (
  "realm" text not null,
  "id" text not null,
  "app_id" text not null,
  "package" json not null,
  "notes" json not null,
  "state" text not null,
  "published_by" text not null,
  "published_at" bigint not null,
  "rollout" json not null,
  "row_mac" bytea,
  primary key ("realm", "id")
);

create table "update_files" (
  "realm" text not null,
  "role" text not null,
  "version" bigint not null,
  "content" text not null,
  "signers" json not null,
  "row_mac" bytea,
  primary key ("realm", "role", "version")
);

create table "release_reports" (
  "realm" text not null,
  "release_id" text not null,
  "installation_id" text not null,
  "outcome" text not null,
  primary key ("realm", "release_id", "installation_id")
);

create table "publishers" (
  "realm" text not null,
  "name" text not null,
  "token_hash" bytea not null,
  "created_at" bigint not null,
  "ended_at" bigint,
  "row_mac" bytea,
  primary key ("realm", "name"),
  unique ("realm", "token_hash")
);
