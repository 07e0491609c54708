import { styleText } from 'node:util';
import type { QuickStart } from '../up/seed.ts';
import { LINE } from './line.ts';
import type { ClusterPorts } from './ports.ts';

/** What the picture shows. */
export interface ClusterPicture {
  readonly size: { readonly nodes: number; readonly proxies: number; readonly branch: number };
  readonly ports: ClusterPorts;
  readonly data: string;
  /** Index of the host whose PostgreSQL is the primary. */
  readonly primary: number;
  /** Number of hosts with stores. */
  readonly redis: number;
  /** Process ids of the first Proxy and the first Security node, to try what happens without them. */
  readonly pids: { readonly proxy: number; readonly node: number };
  /** Folder of pgBackRest's configuration on the host of the primary; undefined without an archive. */
  readonly archive: string | undefined;
  readonly link: string;
  readonly quickStart: QuickStart;
}

const row = (count: number, cell: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => cell(i)).join('   ');

/** What runs where, and what to try. */
export function drawCluster(picture: ClusterPicture): string {
  const { size, ports, primary, redis, archive, link, quickStart, data, pids } = picture;
  const bold = (text: string): string => styleText('bold', text);
  const postgres = (i: number): string =>
    `db${i + 1} :${ports.stores + 10 * i + 2} ${i === primary ? 'primary' : 'standby'}`;
  const repository =
    archive === undefined
      ? ''
      : `\n         ${bold('Archive')}     repo :${ports.stores + 10 * redis + 8}   (all WAL, by pgBackRest)`;
  const look = archive === undefined ? '' : `\n     npm run sallyport -- backup continuous status --folder ${archive}`;
  const cli = `npm run sallyport -- --data ${data}`;
  const branch = size.branch === 0 ? '' : drawBranch(picture);
  const sites =
    size.branch === 0
      ? ''
      : `\n     ${cli} site list\n     ${cli} site show branch     # how far Security is from there`;
  const ways =
    size.branch === 0
      ? ''
      : `
     Open its "Branch intranet" and "Branch intranet, through the main site": the same pages. Above each stands by which
     site it came; the first ones stay in the branch, the others cross the line.
`;
  return `
${bold('A highly available Sallyport is up.')}

  devices, operators
      │
  ${bold('HAProxy')}      devices :${ports.balancer.devices}   operators :${ports.balancer.admin}
      ├─ ${bold('Proxies')}     ${row(size.proxies, (i) => `p${i + 1} :${ports.proxy(i).devices}`)}
      │                 │ beats, grants, revocations
      └─ ${bold('Security')}    ${row(size.nodes, (i) => `s${i + 1} :${ports.security(i).proxies}`)}
                        │
         ${bold('PostgreSQL')}  ${row(redis, postgres)}   (Patroni, etcd)
         ${bold('Redis')}       ${row(redis, (i) => `db${i + 1} :${ports.stores + 10 * i + 4}`)}   (Sentinels)${repository}
${branch}
  ${bold('1.')} Open this link in a browser, it plays the phone:

     ${link}

     user ${bold(quickStart.user)}   password ${bold(quickStart.password)}
${ways}
  ${bold('2.')} Look at it as the operator, in another terminal:

     ${cli} status${look}${sites}

  ${bold('3.')} Take something away, and go on using the phone:

     kill -9 ${pids.proxy}     # Proxy p1
     kill -9 ${pids.node}     # Security node s1
     ${cli} status

Ctrl-C stops everything; the next start goes on where it was.
`;
}

/** The second site, and what crosses the line. */
function drawBranch({ size, ports }: ClusterPicture): string {
  const bold = (text: string): string => styleText('bold', text);
  const line = `${LINE.delayMs} ms, ${LINE.mbit} Mbit/s`;
  return `
  ${bold('The line')}  ══════  ${line}  ══════ beats, grants, revocations; and pages of the branch that come through the main site

  ${bold('Branch')}       a second site; devices reach its Proxies directly
      ├─ ${bold('Proxies')}     ${row(size.branch, (i) => `b${i + 1} :${ports.proxy(size.proxies + i).devices}`)}
      └─ ${bold('Intranet')}    :${ports.branchIntranet}
`;
}
