-- Up Migration
-- The proof of an enrolment opens one session. Those that are out now open none: their devices ask for the password.

alter table "installations" add column "resume_id" text;
