import { join } from 'node:path';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Running } from '../up/running.ts';
import { BRANCH_AUTHORITIES, seedBranch } from '../up/seed.ts';
import { acrossUrl, inBranch, mainUrl, SlowLine } from './line.ts';
import type { ClusterPorts } from './ports.ts';

/** Where the second site is. */
export interface BranchPlace {
  readonly data: string;
  /** PEM file: the realm's CA. */
  readonly caFile: string;
  readonly ports: ClusterPorts;
  readonly size: { readonly nodes: number; readonly proxies: number; readonly branch: number };
}

/** Lays the line between the sites: to all Security nodes there, to the intranet of the branch back. */
export async function layLine(running: Running, { ports, size }: Omit<BranchPlace, 'caFile'>): Promise<void> {
  const line = new SlowLine();
  running.add(async () => line.close());
  const nodes = Array.from({ length: size.nodes }, (_, i) => ports.security(i).proxies);
  for (const port of [...nodes, ports.branchIntranet]) await line.reach(port);
}

/** Starts the intranet of the second site and makes the site known; its Proxies devices reach without the load balancer. */
export async function startBranch(running: Running, place: BranchPlace, admin: AdminClient): Promise<void> {
  const { data, caFile, ports, size } = place;
  const environment = {
    SALLYPORT_LISTEN: `127.0.0.1:${ports.branchIntranet}`,
    SALLYPORT_SHARE: join(data, 'branch-share'),
    SALLYPORT_JWKS_URL: `${mainUrl(ports.security(0).proxies)}/v1/jwks`,
    SALLYPORT_CA: caFile,
    SALLYPORT_AUTHORITY: BRANCH_AUTHORITIES.join(','),
    ...inBranch(),
  };
  const { ready } = await running.start('intranet', environment, { label: 'intranet-branch' });
  await seedBranch(admin, join(data, 'cli', 'branch.json'), {
    origins: branchProxies(size).map((i) => `ws://localhost:${ports.proxy(i).devices}`),
    intranet: ready['url']!,
    across: acrossUrl(ports.branchIntranet),
  });
}

/** Which of all Proxies are the branch's, behind those of the main site. */
export function branchProxies({ proxies, branch }: BranchPlace['size']): readonly number[] {
  return Array.from({ length: branch }, (_, j) => proxies + j);
}
