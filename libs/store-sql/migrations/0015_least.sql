-- Up Migration
-- The newest migration that code has to know so that it may write here: older code refuses to start.

create table "schema_least" (
  "one" boolean primary key default true check ("one"),
  "migration" text not null
);
