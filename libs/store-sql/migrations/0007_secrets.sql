-- Up Migration
-- What has ended keeps no secret; a code's secret became the key of its enrolment. Nodes of the version before go on writing:
-- what they demanded may be null now, and what is new has a default. Rows that are sealed already are of a node that erases.

alter table "codes" add column "code_key" bytea;
alter table "codes" alter column "secret_hash" drop not null;

alter table "sessions" alter column "secret" drop not null;
update "sessions" set "secret" = null, "delegated" = null where "ended_at" is not null and "row_mac" is null;

alter table "installations" alter column "current_key" drop not null;
update "installations" set "current_key" = null, "next_key" = null, "previous_key" = null where "status" = 'revoked' and "row_mac" is null;

create index "sessions_expiry" on "sessions" ("realm", "expires_at") where "ended_at" is null;
create index "codes_installation" on "codes" ("realm", "installation_id");
