-- Up Migration
-- The version with which an installation was refused last, until it signs in: also one that the realm never released.

alter table "installations" add column "refused_app" text;
