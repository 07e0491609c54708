/** Where everything of a farm on one machine listens. */
export interface ClusterPorts {
  /** First of forty that databases, elections, Redis and the archive take. */
  readonly stores: number;
  readonly security: (i: number) => { readonly proxies: number; readonly admin: number };
  readonly proxy: (i: number) => { readonly devices: number; readonly health: number };
  readonly balancer: { readonly devices: number; readonly admin: number };
  readonly intranet: number;
  /** Of the second site. */
  readonly branchIntranet: number;
  readonly phone: number;
}

/** How far the last port is from the base. */
export const CLUSTER_SPAN = 94;

/** Ports from the base on: stores take forty, what is ours comes after. */
export function clusterPorts(base: number): ClusterPorts {
  return {
    stores: base,
    security: (i) => ({ proxies: base + 40 + 2 * i, admin: base + 41 + 2 * i }),
    proxy: (i) => ({ devices: base + 60 + 2 * i, health: base + 61 + 2 * i }),
    balancer: { devices: base + 90, admin: base + 91 },
    intranet: base + 92,
    phone: base + 93,
    branchIntranet: base + CLUSTER_SPAN,
  };
}
