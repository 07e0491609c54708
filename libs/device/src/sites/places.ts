import type { LinkPin } from '@sallyport/channel';
import type { ProxyPlace } from '../gateway/place.ts';
import type { DeviceRecord } from '../kept/record.ts';

/** What says where Proxies are. */
type Whereabouts = Pick<DeviceRecord, 'realm' | 'origins' | 'sites'>;

/** Where Proxies may be reached: those of the site map first, then those of the link; a pin leaves only what it names. */
export function originsOf(
  { sites = [], origins = [] }: Omit<Whereabouts, 'realm'>,
  pin: LinkPin | undefined,
): readonly string[] {
  if (pin?.origin !== undefined) return [pin.origin];
  const served = sites.filter(({ name }) => pin?.site === undefined || name === pin.site);
  const known = served.flatMap((site) => site.origins);
  // Until a site map names the pinned site, the link is all that is known of it.
  const link = pin?.site !== undefined && known.length > 0 ? [] : origins;
  return [...new Set([...known, ...link])];
}

/**
 * Where channels may be opened, in the order of the site map. A pinned origin that the map does not name is tried as a Proxy of each
 * site that it may belong to.
 */
export function proxyPlacesOf(
  { realm, sites = [] }: Pick<Whereabouts, 'realm' | 'sites'>,
  pin: LinkPin | undefined,
): ProxyPlace[] {
  const may = sites.filter(({ name }) => pin?.site === undefined || name === pin.site);
  const placeOf = (site: string, origin: string): ProxyPlace => ({ origin, site, audience: `${realm}/${site}` });
  const { origin } = pin ?? {};
  if (origin === undefined) return may.flatMap(({ name, origins }) => origins.map((one) => placeOf(name, one)));
  const naming = may.filter(({ origins }) => origins.includes(origin));
  return (naming.length > 0 ? naming : may).map(({ name }) => placeOf(name, origin));
}
