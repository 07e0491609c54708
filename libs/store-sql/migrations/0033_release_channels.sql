-- Up Migration
-- Releases are found by their packages, and are on channels beside that which everybody is on; apps say who is on those. A package that no
-- release names is kept for a time, from when that was first seen. Nulls are what there was before. A row with channels carries a MAC that
-- nodes of the version before do not know, so they give nothing for it.

alter table "releases" add column "package_hash" text;
alter table "releases" add column "channels" json;
alter table "releases" add column "withdrawn_at" bigint;
alter table "apps" add column "channels" json;
-- The system of an installation, for counts by it.
alter table "installations" add column "os" text;
update "releases" set "package_hash" = "package" ->> 'sha256';
update "releases" set "withdrawn_at" = "published_at" where "state" = 'withdrawn';
create index "releases_package_hash" on "releases" ("realm", "package_hash");
create index "releases_app_id" on "releases" ("realm", "app_id", "state");

create table "unnamed_packages" (
  "realm" text not null,
  "hash" text not null,
  "since" bigint not null,
  "removing" boolean not null,
  primary key ("realm", "hash")
);
