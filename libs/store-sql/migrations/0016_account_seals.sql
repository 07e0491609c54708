-- Up Migration
-- Who is in which group of a directory makes rights and operators: these rows carry a MAC, too.

alter table "directory_groups" add column "row_mac" bytea;
alter table "account_groups" add column "row_mac" bytea;
