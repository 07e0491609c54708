-- Up Migration
-- Proxies that are pods of a cluster: who vouched for them, and when their last certificate was given.

create table "pods" (
  "realm" text not null,
  "name" text not null,
  "account" text not null,
  "certificate_at" bigint not null,
  "row_mac" bytea,
  primary key ("realm", "name")
);
create index "pods_certificate" on "pods" ("realm", "certificate_at");
