import { archive } from './archive.ts';
import { backups } from './backups.ts';
import { clocks } from './clocks.ts';
import { copies } from './copies.ts';
import { durability } from './durability.ts';
import { links } from './links.ts';
import { nodes } from './nodes.ts';
import { proxies } from './proxies.ts';
import { quota } from './quota.ts';
import { redis } from './redis.ts';
import { restore } from './restore.ts';
import { revocation } from './revocation.ts';
import { rolling } from './rolling.ts';
import type { Scenario } from './scenario.ts';
import { sites } from './sites.ts';
import { standby, standbyPatroni } from './standby.ts';

/** All scenarios by name. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  durability,
  nodes,
  proxies,
  rolling,
  redis,
  revocation,
  restore,
  archive,
  backups,
  standby,
  'standby-patroni': standbyPatroni,
  copies,
  clocks,
  quota,
  links,
  sites,
};
