-- Up Migration
-- Credentials of operators that a version before made have no MAC and are refused: they are no reason to think that somebody
-- can come in. The next start gives a one-time token for the first operator, as a new realm does.
delete from "operator_tokens" where "id" = "operator_id";

-- Who is in which group of a directory makes rights and operators: these rows carry a MAC, too.

alter table "directory_groups" add column "row_mac" bytea;
alter table "account_groups" add column "row_mac" bytea;
