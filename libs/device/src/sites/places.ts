import type { DeviceRecord } from '../kept/record.ts';

/** Where Proxies may be reached: those of the site map first, then those of the link. */
export function originsOf(record: DeviceRecord): readonly string[] {
  return [...new Set([...(record.sites?.flatMap((site) => site.origins) ?? []), ...record.origins])];
}
