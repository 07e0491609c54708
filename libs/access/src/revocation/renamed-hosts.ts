import type { Change } from '../realm/change.ts';
import { bumpMapVersion, getRealm } from '../realm/realm.ts';

/** A host that has another name: `host` stands for all its ports, `host:port` for one. */
export interface HostChange {
  readonly from: string;
  readonly to: string;
}

/**
 * Gives hosts other names wherever rows name them in a URL: origins of sites, the enrolment page, servers and providers of
 * directories, backends of resources. Gives where, in words. Nodes tell their own URLs, from their settings.
 */
export async function renameHosts(begun: Change, hosts: readonly HostChange[]): Promise<readonly string[]> {
  if (hosts.length === 0) return [];
  const { sites, directories, resources, realms } = begun.tables;
  const where: string[] = [];
  const renamed = <T>(what: string, value: T): T | undefined => {
    const changed = withHosts(value, hosts);
    if (JSON.stringify(changed) === JSON.stringify(value)) return undefined;
    where.push(what);
    return changed;
  };
  for (const { name, origins } of await sites.list()) {
    const changed = renamed(`site ${name}`, origins);
    if (changed) await sites.update({ where: { name } }, { origins: changed });
  }
  for (const { name, settings } of await directories.list()) {
    const changed = renamed(`directory ${name}`, settings);
    if (changed) await directories.update({ where: { name } }, { settings: changed });
  }
  for (const { name, backend } of await resources.list()) {
    const changed = renamed(`resource ${name}`, backend);
    if (changed) await resources.update({ where: { name } }, { backend: changed });
  }
  const settings = renamed('settings of the realm', (await getRealm(begun)).settings);
  if (settings) await realms.update({ where: { id: 'realm' } }, { settings });
  await bumpMapVersion(begun);
  for (const { from, to } of hosts) begun.audit('realm.rename-host', `${from} is ${to} now`);
  return where;
}

/** The same value, where URLs in it that name one of the hosts name another one. */
function withHosts<T>(value: T, hosts: readonly HostChange[]): T {
  if (typeof value === 'string') return hosts.reduce(withHost, value as string) as T;
  if (Array.isArray(value)) return value.map((one) => withHosts(one, hosts)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withHosts(one, hosts)])) as T;
}

const AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#@]+)(.*)$/is;

function withHost(text: string, { from, to }: HostChange): string {
  const [, scheme = '', authority = '', rest = ''] = AUTHORITY.exec(text) ?? [];
  if (authority.toLowerCase() === from.toLowerCase()) return `${scheme}${to}${rest}`;
  const port = /:\d+$/.exec(authority)?.[0] ?? '';
  const host = authority.slice(0, authority.length - port.length);
  return port !== '' && host.toLowerCase() === from.toLowerCase() ? `${scheme}${to}${port}${rest}` : text;
}
