-- Up Migration
-- Which keys of the realm a node works with: a new one is used once every node that is awake has it. Nodes of the version before do not say.

alter table "nodes" add column "known_keys" json not null default '[]';
