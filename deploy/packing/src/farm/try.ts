import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { Device } from '@sallyport/device';
import { DRIVER_ADDRESS, Network, TestAuthority, waitFor } from '@sallyport/support';
import { Machine, makeDebian } from '../trial/machine.ts';
import { AUTHORITY, TrialOperator } from '../trial/operator.ts';
import { type FarmPlan, planFarm } from './plan.ts';
import { writeFarm } from './write.ts';

/** Where the walk keeps its files: said to the part of it that runs in namespaces of its own. */
const PLACE = 'SALLYPORT_FARM_TRIAL';
const HOSTS = ['db1=10.77.0.11', 'db2=10.77.0.12', 'db3=10.77.0.13'];
const GATE = 'gate.example.com';
const PAGE = 'a page of the intranet\n';
const BACKEND_PORT = 8_080;
/** Services whose units ask for more open files than a machine may allow. */
const HUNGRY = ['etcd', 'redis-server', 'redis-sentinel', 'sallyport-security', 'sallyport-proxy'];
const PAUSE_MS = 250;
/** Nothing of a farm of three takes so long when one host is gone, ms; leases end and databases change well before. */
const PATIENCE_MS = 300_000;

function place(name: string): string {
  return join(process.env[PLACE]!, name);
}

/** Makes the files of three empty Debians, and tells where they are to whoever goes on. */
export function makeRoots(): void {
  process.env[PLACE] = mkdtempSync('/var/tmp/sallyport-farm-');
  makeDebian(place('empty'));
  for (const host of HOSTS) execFileSync('cp', ['-a', place('empty'), place(host.split('=')[0]!)]);
}

/** Takes all of it away. */
export function removeRoots(): void {
  rmSync(process.env[PLACE]!, { recursive: true, force: true });
}

/** A forward proxy for apt, at a socket that whoever has a network of its own reaches, too. */
export async function openWayToPackages(): Promise<void> {
  const way = createServer((asked, answer) => {
    const { host, ...headers } = asked.headers;
    const onwards = request(asked.url!, { method: asked.method!, headers }, (said) => {
      answer.writeHead(said.statusCode!, said.headers);
      said.pipe(answer);
    });
    onwards.on('error', () => answer.destroy());
    asked.pipe(onwards);
  });
  await new Promise<void>((listening) => way.listen(place('packages.sock'), listening));
}

/** The same on the network of the hosts. */
async function startPackageWay(): Promise<string> {
  const way = createTcpServer((socket) => {
    const onwards = connect(place('packages.sock'));
    for (const end of [socket, onwards]) end.on('error', () => undefined);
    socket.pipe(onwards).pipe(socket);
  });
  await new Promise<void>((listening) => way.listen(0, DRIVER_ADDRESS, listening));
  return `http://${DRIVER_ADDRESS}:${(way.address() as AddressInfo).port}`;
}

/** A host of the walk. */
interface WalkedHost {
  readonly name: string;
  readonly address: string;
  readonly line: ReturnType<Network['addHost']>;
  machine: Machine;
}

/** Walks the steps of `npm run farm` on three hosts, and takes each of them away once. @throws Error when something does not come up */
export async function tryHosts(say: (text: string) => void): Promise<void> {
  const network = new Network();
  const plan = planFarm(GATE, HOSTS);
  await writeOut(plan);
  const packages = await startPackageWay();
  const backend = await startBackend();
  const began = performance.now();
  const told = (text: string): void => say(`${seconds(began).padStart(5)}  ${text}`);
  const hosts = await Promise.all(plan.hosts.map((host) => boot(network, host, packages)));
  told('three empty Debians are up');
  await Promise.all(hosts.map(({ name, machine }) => machine.run('sh', `/root/${name}/install.sh`)));
  told('install.sh has run on each, at once');
  const [first] = hosts;
  const finished = await first!.machine.run('sh', `/root/${first!.name}/finish.sh`);
  told('finish.sh has made the operator, the site and the tokens');
  for (const host of hosts) {
    const [, token = ''] = new RegExp(`^on ${host.name}: sh join.sh (\\S+)$`, 'm').exec(finished) ?? [];
    await host.machine.run('sh', `/root/${host.name}/join.sh`, token);
  }
  await Promise.all(hosts.map(serves));
  told('join.sh has run on each, and all Proxies are ready');
  const operator = await secondOperator(hosts);
  const url = `http://${DRIVER_ADDRESS}:${BACKEND_PORT}`;
  const networks = [`${DRIVER_ADDRESS}/32`];
  await operator.setUp({ site: 'main', origins: [`wss://${GATE}`], backend: { url, networks } });
  const device = await operator.device('ada');
  await readPage(device);
  told('a device has enrolled, signed in and read a page');
  for (const host of hosts) await takeAway(host, { network, operator, device, told });
  device.close();
  await operator.close();
  backend.closeAllConnections();
  backend.close();
  await Promise.all(hosts.map(({ machine }) => machine.end()));
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(0)} s`;
}

/** The folders of the hosts, and a CA whose certificate devices trust. */
async function writeOut(plan: FarmPlan): Promise<void> {
  const authority = await TestAuthority.create('a public CA');
  const { certificate, key } = await authority.issue({ names: [GATE] });
  writeFarm(plan, { out: place('farm'), devices: `${certificate}${key}` });
  setDefaultCACertificates([...getCACertificates('default'), authority.certificate]);
  const names = plan.hosts.map(({ address }) => `${address} ${GATE}\n`).join('');
  writeFileSync(place('hosts'), `127.0.0.1 localhost\n${names}`);
  execFileSync('mount', ['--bind', place('hosts'), '/etc/hosts']);
}

async function boot(
  network: Network,
  { name, address }: { name: string; address: string },
  packages: string,
): Promise<WalkedHost> {
  const line = network.addHost(name, address);
  const root = place(name);
  writeFileSync(join(root, 'etc/apt/apt.conf.d/90way'), `Acquire::http::Proxy "${packages}";\n`);
  cpSync(place(join('farm', name)), join(root, 'root', name), { recursive: true });
  const machine = await Machine.boot({ root, host: name });
  for (const unit of HUNGRY) machine.limitFiles(unit);
  return { name, address, line, machine };
}

async function startBackend(): Promise<Server> {
  const backend = createServer((_request, response) => response.end(PAGE));
  await new Promise<void>((listening) => backend.listen(BACKEND_PORT, DRIVER_ADDRESS, listening));
  return backend;
}

/** Both servers of a host are ready, as a balancer asks. */
async function serves({ machine }: WalkedHost): Promise<void> {
  await machine.serves('sallyport-security', 'https://127.0.0.1:8443/readyz');
  await machine.serves('sallyport-proxy', 'http://127.0.0.1:8441/readyz');
}

/** One that this process is: `finish.sh` leaves the first on the host. */
async function secondOperator(hosts: readonly WalkedHost[]): Promise<TrialOperator> {
  const [first] = hosts;
  const service = ['systemd-run', '--quiet', '--pipe', '--wait', '--uid=sallyport'];
  const settings = ['-p', 'EnvironmentFile=/etc/sallyport/security.env'];
  const command = ['sallyport', 'operator', 'break-glass', '--name', 'olga', '--reason', 'trial'];
  const [, token = ''] = /^(\S{20,})$/m.exec(await first!.machine.run(...service, ...settings, ...command)) ?? [];
  const ca = await first!.machine.run('cat', '/var/lib/sallyport/security/ca.pem');
  const [url, ...others] = hosts.map(({ address }) => `https://${address}:8444`);
  return TrialOperator.login({ urls: [url!, ...others], ca }, token);
}

async function readPage(device: Device): Promise<void> {
  const answer = await device.fetch(`http://${AUTHORITY}/`);
  const text = await answer.text();
  if (answer.status !== 200 || text !== PAGE) throw new Error(`the page was ${answer.status}: ${text}`);
}

/** Does something again and again until it goes well, and says after how long that was and how often it failed. */
async function untilWell(began: number, work: () => Promise<unknown>): Promise<string> {
  for (let failed = 0; ; failed++) {
    try {
      await work();
      return `${seconds(began)} (${failed} failed)`;
    } catch (error) {
      if (performance.now() - began > PATIENCE_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

interface Walked {
  readonly network: Network;
  readonly operator: TrialOperator;
  readonly device: Device;
  readonly told: (text: string) => void;
}

/** Cuts the power of a host, waits until devices are served, and gives it back. */
async function takeAway(host: WalkedHost, { network, operator, device, told }: Walked): Promise<void> {
  const newcomer = await operator.newcomer(`after-${host.name}`);
  const cutAt = performance.now();
  network.cut(host.line);
  await host.machine.end();
  const [page, first, change] = await Promise.all([
    untilWell(cutAt, () => readPage(device)),
    untilWell(cutAt, () => newcomer.enter().then(() => readPage(newcomer.device))),
    untilWell(cutAt, () => operator.putUser(`by-${host.name}`)),
  ]);
  newcomer.device.close();
  told(`${host.name} is without power: a page came after ${page}`);
  told(`a new device had enrolled, signed in and read its first page after ${first}`);
  told(`a change of an operator was done after ${change}`);
  network.heal(host.line);
  host.machine = await Machine.boot({ root: host.machine.root, host: host.name });
  await serves(host);
  await waitFor(() => followsAll(host), 'two standbys that follow');
  told(`${host.name} is back, and serves`);
}

/** Whether all three databases run and follow, as Patroni on a host says. */
async function followsAll({ machine }: WalkedHost): Promise<boolean> {
  const members = await machine.try('patronictl', '-c', '/etc/patroni/config.yml', 'list', '-f', 'json');
  try {
    const states = (JSON.parse(members) as { State: string }[]).map(({ State }) => State);
    return states.length === HOSTS.length && states.every((state) => /^(running|streaming)$/.test(state));
  } catch {
    return false;
  }
}
