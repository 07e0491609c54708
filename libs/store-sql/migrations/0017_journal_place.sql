-- Up Migration
-- Which journal the nodes of an epoch keep, so that none keeps another one beside them. Empty: nobody has said so yet.

alter table "realms" add column "journal" text not null default '';
alter table "nodes" add column "journal" text not null default '';
