import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { signalTo } from './command.ts';

/** Address of the bridge: where the driver with its devices and backends is. */
export const DRIVER_ADDRESS = '10.77.0.1';
const PREFIX = 16;
const MARK = 'SALLYPORT_RIG';

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** A host that is played by a network namespace. */
interface Host {
  readonly name: string;
  readonly address: string;
  readonly namespace?: string;
}

/** True in a program that `runIsolated` has started. */
export function isIsolated(): boolean {
  return process.env[MARK] !== undefined;
}

/** Runs this program again with a network, mounts and process ids of its own, all of which end with it, and ends as it ends. */
export function runIsolated(): void {
  const own = ['--net', '--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];
  // The first process of such a namespace inherits all orphans; a shell buries them, we would not.
  const init = ['bash', '-c', '"$@"; exit $?', 'bash'];
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', [...own, ...init, ...again], {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill('SIGKILL'));
  child.once('exit', (code) => process.exit(code ?? 1));
}

/**
 * Hosts as network namespaces on one bridge, inside of the namespaces that `runIsolated` made: nothing of it is visible to
 * the machine, and nothing remains.
 */
export class Network {
  readonly #hosts = new Map<string, Host>();

  /** @throws Error outside of the rig's own namespaces */
  constructor() {
    if (!isIsolated()) throw new Error('hosts are played in namespaces of their own only: see runIsolated');
    run('mkdir', '-p', '/run/netns');
    run('mount', '-t', 'tmpfs', 'tmpfs', '/run/netns');
    run('ip', 'link', 'set', 'lo', 'up');
    run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    run('ip', 'addr', 'add', `${DRIVER_ADDRESS}/${PREFIX}`, 'dev', 'br0');
    run('ip', 'link', 'set', 'br0', 'up');
  }

  /** Adds a host with an address on the bridge. */
  addHost(name: string, address: string): Host {
    run('ip', 'netns', 'add', name);
    run('ip', 'link', 'add', `v-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    run('ip', 'link', 'set', `v-${name}`, 'master', 'br0', 'up');
    this.#inside(name, 'ip', 'link', 'set', 'lo', 'up');
    this.#inside(name, 'ip', 'addr', 'add', `${address}/${PREFIX}`, 'dev', 'eth0');
    this.#inside(name, 'ip', 'link', 'set', 'eth0', 'up');
    const host = { name, address, namespace: name };
    this.#hosts.set(name, host);
    return host;
  }

  /** Takes a host off the network: everything is dropped silently, in both directions. */
  cut(host: Host): void {
    run('ip', 'link', 'set', `v-${host.name}`, 'down');
  }

  /** Drops silently what goes in one direction, seen from the host. */
  cutOneWay(host: Host, direction: 'in' | 'out'): void {
    this.#filter(host, direction === 'in' ? 'input' : 'output', 'drop');
  }

  /** Answers everything that comes from another host with a reset. */
  reset(host: Host, from: Host): void {
    this.#filter(host, 'input', `ip saddr ${from.address} meta l4proto tcp reject with tcp reset`);
  }

  /** Drops silently what goes between a host and another one, in one direction or in both. */
  cutBetween(host: Host, other: Host, direction: 'in' | 'out' | 'both' = 'both'): void {
    if (direction !== 'out') this.#filter(host, 'input', `ip saddr ${other.address} drop`);
    if (direction !== 'in') this.#filter(host, 'output', `ip daddr ${other.address} drop`);
  }

  /** Drops silently what a host sends from one of its ports to another host: one service of it, not the rest. */
  dropPort(host: Host, to: Host, port: number): void {
    this.#filter(host, 'output', `ip daddr ${to.address} tcp sport ${port} drop`);
  }

  /** Counts from now on what goes between a host and others, both ways. `heal` ends that. */
  count(host: Host, others: readonly Pick<Host, 'address'>[]): void {
    const set = `{ ${others.map(({ address }) => address).join(', ')} }`;
    const rules = [
      'add table inet line; add counter inet line crossed',
      'add chain inet line came { type filter hook input priority 0; }; add chain inet line went { type filter hook output priority 0; }',
      `add rule inet line came ip saddr ${set} counter name crossed; add rule inet line went ip daddr ${set} counter name crossed`,
    ];
    this.#inside(host.name, 'nft', rules.join('; '));
  }

  /** Bytes of packets since `count`. */
  counted(host: Host): number {
    const inside = ['netns', 'exec', host.name, 'nft', '-j', 'list', 'counter', 'inet', 'line', 'crossed'];
    const { nftables } = JSON.parse(execFileSync('ip', inside, { encoding: 'utf8' }));
    return nftables.find((one: { counter?: { bytes: number } }) => one.counter).counter.bytes;
  }

  /** Everybody asks anew which host has an address: one has taken that of another over. */
  forgetNeighbours(): void {
    run('ip', 'neigh', 'flush', 'dev', 'br0');
    for (const name of this.#hosts.keys()) this.#inside(name, 'ip', 'neigh', 'flush', 'dev', 'eth0');
  }

  /** Undoes every fault of a host's network. */
  heal(host: Host): void {
    run('ip', 'link', 'set', `v-${host.name}`, 'up');
    this.#inside(host.name, 'nft', 'flush', 'ruleset');
  }

  /** Kills every process on a host at once, as a power cut would. Cut the network first: the kernel then tells nobody. */
  killHost(host: Host): void {
    this.signalHost(host, 'SIGKILL');
  }

  /** Kills every process on every host. */
  killAll(): void {
    for (const host of this.#hosts.values()) this.killHost(host);
  }

  /** Sends a signal to every process on a host, for instance to freeze it. */
  signalHost(host: Host, signal: NodeJS.Signals): void {
    for (const pid of this.#pidsOn(host)) signalTo(pid, signal);
  }

  #pidsOn(host: Host): number[] {
    const wanted = execFileSync('stat', ['-Lc', '%i', `/run/netns/${host.name}`], { encoding: 'utf8' }).trim();
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => pid > 1 && inNamespace(pid, wanted));
  }

  #filter(host: Host, hook: 'input' | 'output', rule: string): void {
    const chain = `fault_${hook}`;
    const hooked = `{ type filter hook ${hook} priority 0; }`;
    const guard = rule === 'drop' ? `${hook === 'input' ? 'iif' : 'oif'} eth0 drop` : rule;
    const text = `add table inet fault; add chain inet fault ${chain} ${hooked}; add rule inet fault ${chain} ${guard}`;
    this.#inside(host.name, 'nft', text);
  }

  #inside(name: string, ...command: string[]): void {
    run('ip', 'netns', 'exec', name, ...command);
  }
}

function inNamespace(pid: number, inode: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === `net:[${inode}]` && readFileSync(`/proc/${pid}/stat`, 'utf8') !== '';
  } catch {
    return false;
  }
}
