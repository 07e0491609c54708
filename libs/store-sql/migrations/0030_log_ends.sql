-- Up Migration
-- By "revocations_subject" a question about n subjects and four kinds descends 4n times; by this one n times. Entries about
-- rights, of which a user may have thousands, are no answer to it.
create index "revocations_ends" on "revocations" ("realm", "subject") where "kind" <> 'rights';
