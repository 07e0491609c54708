import type { SiteDetails, SiteView } from '@sallyport/security-api';
import { sites } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import { type Command, Option } from 'commander';
import { addOperatorCommand, type Given, required, table } from '../operator-command.ts';
import { formatBytes, formatDuration, formatRows, formatTime } from '../output.ts';
import { printable, say, warn } from '../terminal.ts';
import { parseDuration } from '../units.ts';
import { sayRemoved } from './resources.ts';

interface SiteOptions {
  readonly origin: string[];
  readonly lease?: string;
  readonly nodesLease?: true;
}

const COLUMNS = ['name', 'origins', 'state', 'proxies', 'channels', 'requests', 'bytes', 'lease', 'revocation'];
const showSites = table(COLUMNS, flatSite);

/** A site as a row of a table. Beside its lease stands what that bounds. */
function flatSite(site: SiteView): object {
  const { name, origins, channels, requests, ownLease, leaseMs } = site;
  return {
    ...{ name, origins, channels, requests },
    state: site.drainedAt === null ? 'open' : `drained ${formatTime(site.drainedAt)}`,
    proxies: `${site.liveProxies} live`,
    bytes: formatBytes(site.bytes),
    lease: `${formatDuration(leaseMs)}${ownLease ? '' : ' (nodes)'}`,
    revocation: `within ${formatDuration(site.revocationMs)}`,
  };
}

/** `sallyport site …` */
export function addSiteCommands(program: Command): void {
  const site = program.command('site').description('places with Proxies');
  addOperatorCommand(site, {
    name: 'put <name>',
    about: 'create or replace a site',
    options: [
      required('--origin <urls...>', 'where devices reach its Proxies: wss://host[:port]'),
      ['--lease <time>', 'how long its Proxies serve without Security, 2s to 5m: it bounds revocations there'],
      new Option('--nodes-lease', 'the lease of the nodes again').conflicts('lease'),
    ],
    run: putSite,
    show: (view) => showSites([view]),
    json: (view) => [view],
    afterwards: sayEverywhere,
  });
  addOperatorCommand(site, {
    name: 'list',
    about: 'all sites, with what runs there',
    run: (admin) => admin.all(sites.list),
    show: showSites,
  });
  addOperatorCommand(site, {
    name: 'show <name>',
    about: 'one site: its Proxies, its resources, how far Security is',
    run: (admin, _given, name: string) => admin.call(sites.get, { params: { name } }),
    show: (site) => void process.stdout.write(formatSite(site)),
  });
  addOperatorCommand(site, {
    name: 'drain <name>',
    about: 'empty a site before it is shut: no new channels, devices move on; open requests finish',
    options: [['--undo', 'open it again']],
    run: (admin, { options, reason }: Given<{ readonly undo?: true }>, name: string) =>
      admin.call(options.undo ? sites.open : sites.drain, { params: { name }, reason }),
    show: (view, _given, name: string) => {
      showSites([view]);
      if (view.drainedAt !== null) say`it is empty when no channels are left: sallyport site show ${name}\n`;
    },
    json: (view) => [view],
  });
  addOperatorCommand(site, {
    name: 'remove <name>',
    about: 'remove a site that no resource, Proxy or policy names',
    run: (admin, { reason }, name: string) => admin.call(sites.remove, { params: { name }, reason }),
    show: sayRemoved,
  });
}

async function putSite(admin: AdminClient, { options, reason }: Given<SiteOptions>, name: string): Promise<SiteView> {
  const { origin: origins, lease, nodesLease } = options;
  const leaseMs = nodesLease ? null : lease === undefined ? undefined : parseDuration(lease);
  const body = { origins, ...(leaseMs === undefined ? {} : { leaseMs }) };
  return admin.call(sites.put, { params: { name }, body, reason });
}

/** What is at every site is at a new one, too: on standard error, for people. */
async function sayEverywhere(admin: AdminClient, { name }: SiteView): Promise<void> {
  const others = (await admin.all(sites.list)).length - 1;
  if (others === 0) return;
  const { everySite } = await admin.call(sites.get, { params: { name } });
  if (everySite.length > 0)
    warn`note: at every site, and so at ${name}, too: ${everySite.join(', ')} (sallyport resource set … --site)\n`;
}

/** All about a site, for people. */
export function formatSite({ proxies, resources, everySite, ...site }: SiteDetails): string {
  const rows = proxies.map(({ bytes, rttMs, ...proxy }) => ({
    ...proxy,
    bytes: formatBytes(bytes),
    'to security': rttMs === null ? 'not measured' : `${rttMs} ms`,
  }));
  const columns = ['name', 'live', 'channels', 'requests', 'bytes', 'to security', 'leaseUntil', 'node'];
  return [
    formatRows([flatSite(site)], COLUMNS),
    'Proxies',
    formatRows(rows, columns),
    `resources ${printable(resources.join(', ')) || '(none names it)'}`,
    ...(everySite.length > 0 ? [`at every site ${printable(everySite.join(', '))}`] : []),
    '',
  ].join('\n');
}
