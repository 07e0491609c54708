-- Up Migration
-- The audit log is searched by who did something and by whom it concerns, and may begin at a sealed checkpoint.

alter table "audit_heads" add column "seal" bytea;
create index "audit_actor" on "audit" ("realm", "actor", "seq");
create index "audit_subject" on "audit" ("realm", "subject", "seq");
