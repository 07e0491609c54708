-- Up Migration
-- What the log says of a session, an installation or a user is looked up with each channel and sign-in.
create index "revocations_subject" on "revocations" ("realm", "subject", "kind");
