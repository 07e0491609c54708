-- Up Migration
-- What has ended long ago is found without reading what has not.

create index "sessions_ended" on "sessions" ("realm", "ended_at") where "ended_at" is not null;
