-- Up Migration
-- Installations that are on a channel of an app by themselves, whatever groups their user is in, with who put them there and why.

create table "channel_devices" (
  "realm" text not null,
  "app_id" text not null,
  "channel" text not null,
  "installation_id" text not null,
  "added_at" bigint not null,
  "added_by" text not null,
  "reason" text not null,
  "row_mac" bytea,
  primary key ("realm", "app_id", "channel", "installation_id")
);
create index "channel_devices_installation" on "channel_devices" ("realm", "installation_id");
-- The device that asked for a link gets by it what is offered to that device.
alter table "install_links" add column "installation_id" text;
