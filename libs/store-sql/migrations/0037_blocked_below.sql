-- Up Migration
-- Of an app of which more versions are revoked than a grant has room for, the lowest are one: everything below a version is refused. A row with
-- one carries a MAC that nodes of the version before do not know, so they give nothing for it.

alter table "apps" add column "blocked_below" text;
