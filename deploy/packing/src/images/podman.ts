import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Limits that machines without CAP_SYS_RESOURCE allow; podman's own are higher, and refused there. */
const CONFIG = `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
`;

/** Podman with a store of its own in a folder: nothing of it is among the images and containers of this machine. */
export class Podman {
  readonly #options: readonly string[];
  readonly #config: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const place = (name: string): string => join(folder, name);
    this.#options = [
      ...['--root', place('store'), '--runroot', place('run'), '--tmpdir', place('tmp')],
      ...['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--log-level', 'error'],
    ];
    this.#config = place('containers.conf');
    writeFileSync(this.#config, CONFIG);
  }

  /** Runs a command of podman to its end and gives what it printed. @throws Error with its words */
  run(...args: readonly string[]): string {
    const env = { ...process.env, CONTAINERS_CONF: this.#config };
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    return execFileSync('podman', [...this.#options, ...args], { env, encoding: 'utf8', stdio: [...stdio] });
  }

  /** How a container fares, and the last that it printed. */
  lastWords(container: string): string {
    const ask = (...args: string[]): string => this.#printed(args);
    const state = ask('inspect', '--format', '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}', container);
    return `${container} ${state}\n${ask('logs', '--tail', '20', container)}`;
  }

  /** What a program in a container prints, however it ends. */
  told(container: string, ...command: readonly string[]): string {
    return this.#printed(['exec', container, ...command]);
  }

  #printed(args: readonly string[]): string {
    const { stdout, stderr } = spawnSync('podman', [...this.#options, ...args], { encoding: 'utf8' });
    return `${stdout}${stderr}`.trim();
  }

  /** Runs a program in a container. @throws Error with its words */
  exec(container: string, ...command: readonly string[]): string {
    return this.run('exec', container, ...command);
  }
}
