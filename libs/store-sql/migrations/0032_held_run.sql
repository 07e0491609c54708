-- Up Migration
-- The run of the database server in which a node has waited for the end of leases that no row may know. Null: none has.
alter table "realms" add column "held_run" text;
