import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from '../source.ts';
import { listensAt } from '../trial/stores.ts';
import type { TrialTally } from '../trial/tally.ts';
import { NAMESPACE, OUTSIDE, type RunningPod, type TrialCluster } from './cluster.ts';
import { BACKEND_PORTS } from './farm.ts';

/** A port of the table: who may connect. */
interface ListedPort {
  readonly port: number;
  readonly from: string;
}

/** Somewhere that somebody listens, and who may come there. */
interface Door extends ListedPort {
  readonly what: string;
  readonly address: string;
}

/** Somebody who tries doors. */
interface Visitor {
  readonly role: string;
  /** Which of these addresses answer. */
  readonly tries: (doors: readonly Door[]) => Promise<boolean[]>;
}

/** Tries addresses, two seconds each: prints which answer. */
const SCRIPT = `const net = require('node:net');
const tried = JSON.parse(process.argv[1]).map(([host, port]) => new Promise((done) => {
  const socket = net.connect({ host, port, timeout: 2000 }, () => { done(true); socket.destroy(); });
  socket.on('timeout', () => { done(false); socket.destroy(); });
  socket.on('error', () => done(false));
}));
Promise.all(tried).then((open) => console.log(JSON.stringify(open)));`;

/** Whether a port of the table is open to somebody: pods of the farm go out only where the table says so. */
export function isOpenTo(role: string, { from }: ListedPort): boolean {
  const isPart = role === 'security' || role === 'proxy';
  if (from === 'devices') return !isPart;
  return from === role || (from === 'both' && isPart);
}

/**
 * kube-router, which enforces policies here, asks one chain for both ways: where all may come to the pods of a policy, its own pods may
 * also leave for them, whatever is said of leaving. By Kubernetes both sides must allow it.
 */
function isLeftOpen(role: string, { from, what }: Door): boolean {
  return from === 'devices' && what.startsWith(`${role} `);
}

/** Tries every port of the table from everywhere: it must be open exactly where the table says so. */
export async function judgePolicies(cluster: TrialCluster, image: string, tally: TrialTally): Promise<void> {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(BACKEND_PORTS.closed, OUTSIDE, resolve));
  const [security, proxies] = [await cluster.pods('security'), await cluster.pods('proxy')];
  await startProbes(cluster, image);
  const visitors: Visitor[] = [
    podVisitor(cluster, 'security', NAMESPACE, security[0]!.name),
    podVisitor(cluster, 'proxy', NAMESPACE, proxies[0]!.name),
    podVisitor(cluster, 'prometheus', 'monitoring', 'probe'),
    podVisitor(cluster, 'stranger', 'elsewhere', 'probe'),
    podVisitor(cluster, 'neighbour', NAMESPACE, 'probe'),
    { role: 'operators', tries: (doors) => Promise.all(doors.map(({ address, port }) => listensAt(address, port))) },
  ];
  // Pods are tried that are not the visitor itself.
  const doors = doorsOf(security[1]!, proxies[1]!);
  let tried = 0;
  const wrong: string[] = [];
  const leftOpen: string[] = [];
  for (const visitor of visitors) {
    const mine = doors.filter(({ address }) => address !== OUTSIDE || ['security', 'proxy'].includes(visitor.role));
    const open = await visitor.tries(mine);
    tried += mine.length;
    for (const [i, door] of mine.entries()) {
      if (open[i] === isOpenTo(visitor.role, door)) continue;
      const words = `${visitor.role} → ${door.what} is ${open[i] ? 'open' : 'closed'}`;
      (isLeftOpen(visitor.role, door) ? leftOpen : wrong).push(words);
    }
  }
  tally.add(
    `ports that are open exactly to whom the table names, of ${tried} tried`,
    wrong.join('; ') || tried - leftOpen.length,
    wrong.length === 0,
  );
  for (const words of leftOpen) tally.add('left to kube-router, which takes a way in for a way out', words, true);
  closed.close();
}

function doorsOf(security: RunningPod, proxy: RunningPod): Door[] {
  const table = parse(readFileSync(join(ROOT, 'deploy/kubernetes/chart/files/ports.yaml'), 'utf8')) as Readonly<
    Record<string, Readonly<Record<string, ListedPort>>>
  >;
  const doors = (part: string, address: string): Door[] =>
    Object.entries(table[part]!).map(([name, listed]) => ({ ...listed, what: `${part} ${name}`, address }));
  return [
    ...doors('security', security.address),
    ...doors('proxy', proxy.address),
    ...doors('outside', OUTSIDE),
    { what: 'backend', address: OUTSIDE, port: BACKEND_PORTS.opened, from: 'proxy' },
    { what: 'another server', address: OUTSIDE, port: BACKEND_PORTS.closed, from: 'nobody' },
  ];
}

function podVisitor(cluster: TrialCluster, role: string, namespace: string, pod: string): Visitor {
  const tries = async (doors: readonly Door[]): Promise<boolean[]> => {
    const addresses = JSON.stringify(doors.map(({ address, port }) => [address, port]));
    return JSON.parse(await cluster.exec(namespace, pod, '/usr/bin/node', '-e', SCRIPT, addresses));
  };
  return { role, tries };
}

/** Pods that do nothing: in the namespace of the farm without its labels, in that of Prometheus, and elsewhere. */
async function startProbes(cluster: TrialCluster, image: string): Promise<void> {
  const namespaces = ['monitoring', 'elsewhere'];
  await cluster.apply(...namespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
  await cluster.apply(...[...namespaces, NAMESPACE].map((namespace) => probe(namespace, image)));
  for (const namespace of [...namespaces, NAMESPACE])
    await cluster.kubectl('-n', namespace, 'wait', '--for=condition=Ready', 'pod/probe', '--timeout=300s');
}

function probe(namespace: string, image: string): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe', namespace } },
    spec: {
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          ...{ name: 'probe', image, imagePullPolicy: 'Never' },
          command: ['/usr/bin/node', '-e', 'setInterval(() => undefined, 1e6)'],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  };
}
