-- Up Migration
-- A device can end its session, also after the session's secret was erased.

alter table "sessions" add column "end_key" bytea;
