-- Up Migration
-- Versions of an app that are revoked, so that what devices say they run is held against them at every request. A row with some carries a MAC
-- that nodes of the version before do not know, so they give nothing for it.

alter table "apps" add column "blocked" json;
