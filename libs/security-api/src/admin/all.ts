import { apps } from './apps.ts';
import { audit } from './audit.ts';
import { bindings } from './bindings.ts';
import { certificates } from './certificates.ts';
import { directories } from './directories.ts';
import { codes, installations } from './enrolment.ts';
import { escrows } from './escrows.ts';
import { groups } from './groups.ts';
import { keks } from './keks.ts';
import type { Operation } from './operation.ts';
import { operators } from './operators.ts';
import { policies } from './policies.ts';
import { proxies } from './proxies.ts';
import { realm } from './realm.ts';
import { publishers, releases, updates } from './releases.ts';
import { resources } from './resources.ts';
import { revocations } from './revocations.ts';
import { sessions } from './sessions.ts';
import { sites } from './sites.ts';
import { nodes, safeguards, status } from './status.ts';
import { factors, users } from './users.ts';

/** The whole admin API. */
export const OPERATIONS: readonly Operation[] = [
  apps,
  audit,
  bindings,
  certificates,
  codes,
  directories,
  escrows,
  factors,
  groups,
  installations,
  keks,
  nodes,
  operators,
  policies,
  proxies,
  publishers,
  realm,
  releases,
  resources,
  revocations,
  safeguards,
  sessions,
  sites,
  status,
  updates,
  users,
].flatMap((noun): readonly Operation[] => Object.values(noun));
