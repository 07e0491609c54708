import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { type Layer, packLayer } from '../images/layer.ts';
import { ImageLayout } from '../images/oci.ts';
import { ROOT } from '../source.ts';

const run = promisify(execFile);
const SCRIPTS = join(ROOT, 'deploy', 'kubernetes', 'cluster');
const MAX_OUTPUT_BYTES = 2 ** 26;
/** The machine outside of the nodes: the control plane, the stores, backends and devices are there. */
export const OUTSIDE = '10.10.0.100';
/** Network of the nodes and of that machine. */
export const NODES_NETWORK = '10.10.0.0/24';
const NODES = ['node1', 'node2'];
/** Namespace of the farm. */
export const NAMESPACE = 'sallyport';

/** What a trial knows of a pod. */
export interface RunningPod {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly address: string;
  readonly ready: boolean;
  /** It has been told to end. */
  readonly ending: boolean;
  /** Of its container, as containerd names it. */
  readonly container: string;
  /** How often that was started again, and how the one before has ended; undefined for the first. */
  readonly restarts: number;
  readonly exitCode: number | undefined;
}

/** A cluster of two nodes in namespaces of this process, with which it ends. One for each process. */
export class TrialCluster {
  readonly #bin: string;
  readonly #folder: string;
  readonly #kubeconfig: string;

  private constructor(folder: string, bin: string) {
    this.#bin = bin;
    this.#folder = folder;
    this.#kubeconfig = join(folder, 'pki', 'admin.conf');
  }

  /**
   * Starts it with what `npm run kubernetes -- build` built into a folder, and images that nodes begin with. @throws Error when a part
   * does not start
   */
  static start(built: string, images: readonly string[]): TrialCluster {
    const folder = join(built, 'cluster');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, 'images'), { recursive: true });
    for (const image of images) cpSync(image, join(folder, 'images', `${image.split('/').at(-1)}`));
    const entry = { Entrypoint: ['/pause'], User: '65535:65535' };
    packPrograms('localhost/pause:3.10', [join(built, 'bin', 'pause')], join(folder, 'images', 'pause.tar'), entry);
    const cluster = new TrialCluster(folder, join(built, 'bin'));
    cluster.#script(built, 'control.sh');
    cluster.#script(built, 'node.sh', '1');
    cluster.#script(built, 'node.sh', '2');
    return cluster;
  }

  get folder(): string {
    return this.#folder;
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    const all = ['--kubeconfig', this.#kubeconfig, ...args];
    return (await run(join(this.#bin, 'kubectl'), all, { maxBuffer: MAX_OUTPUT_BYTES })).stdout;
  }

  /** Applies objects. */
  async apply(...objects: readonly object[]): Promise<void> {
    const file = join(mkdtempSync(join(this.#folder, 'apply-')), 'objects.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }), { mode: 0o600 });
    await this.kubectl('apply', '-f', file);
  }

  async helm(...args: readonly string[]): Promise<string> {
    const all = ['--kubeconfig', this.#kubeconfig, '--namespace', NAMESPACE, ...args];
    return (await run(join(this.#bin, 'helm'), all, { maxBuffer: MAX_OUTPUT_BYTES })).stdout;
  }

  /** Runs a program in a pod. */
  exec(namespace: string, pod: string, ...command: readonly string[]): Promise<string> {
    return this.kubectl('-n', namespace, 'exec', pod, '--', ...command);
  }

  /** Pods of a part of the farm. */
  async pods(part: 'security' | 'proxy'): Promise<RunningPod[]> {
    const selector = `app.kubernetes.io/component=${part}`;
    const text = await this.kubectl('-n', NAMESPACE, 'get', 'pods', '-l', selector, '-o', 'json');
    return JSON.parse(text).items.map(runningPod);
  }

  /** Kills the process that a pod has now, as a lack of memory would. */
  async kill(name: string): Promise<void> {
    const { node, container } = runningPod(
      JSON.parse(await this.kubectl('-n', NAMESPACE, 'get', 'pod', name, '-o', 'json')),
    );
    const socket = `/run/containerd-${node}.sock`;
    await run(join(this.#folder, node, 'inside'), [
      ...['ctr', '-a', socket, '-n', 'k8s.io', 'tasks', 'kill', '--signal', 'SIGKILL', container],
    ]);
  }

  /** Gives an image of both nodes another name; what had that name before loses it. */
  tag(image: string, as: string): Promise<void> {
    return this.#images('tag', '--force', image, as);
  }

  /** Brings the images of an archive to both nodes: what had their names before loses them. */
  import(archive: string): Promise<void> {
    return this.#images('import', archive);
  }

  /** Brings programs that were built beside the cluster to both nodes, as an image with nothing else in it. */
  async importPrograms(image: string, names: readonly string[]): Promise<void> {
    const archive = join(this.#folder, 'images', 'programs.tar');
    packPrograms(
      image,
      names.map((name) => join(this.#bin, name)),
      archive,
    );
    await this.import(archive);
  }

  async #images(...command: readonly string[]): Promise<void> {
    for (const node of NODES)
      await run(join(this.#folder, node, 'inside'), [
        ...['ctr', '-a', `/run/containerd-${node}.sock`, '-n', 'k8s.io', 'images', ...command],
      ]);
  }

  #script(built: string, name: string, ...args: string[]): void {
    const env = { ...process.env, K8S: built, RUN: this.#folder, CONTROL: OUTSIDE };
    execFileSync('bash', [join(SCRIPTS, name), ...args], { stdio: ['ignore', 'inherit', 'inherit'], env });
  }
}

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly containerID?: string;
      readonly restartCount: number;
      readonly lastState?: { readonly terminated?: { readonly exitCode: number } };
    }[];
  };
}

function runningPod({ metadata, spec, status }: PodObject): RunningPod {
  const container = status.containerStatuses?.[0];
  return {
    name: metadata.name,
    uid: metadata.uid,
    node: spec.nodeName ?? '',
    address: status.podIP ?? '',
    ready: status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false,
    ending: metadata.deletionTimestamp !== undefined,
    container: (container?.containerID ?? '').replace('containerd://', ''),
    restarts: container?.restartCount ?? 0,
    exitCode: container?.lastState?.terminated?.exitCode,
  };
}

/** Packs an image of programs that need nothing beside them. @throws Error when one was not built */
function packPrograms(
  image: string,
  programs: readonly string[],
  archive: string,
  config: Readonly<Record<string, unknown>> = {},
): void {
  const scratch = mkdtempSync('/var/tmp/sallyport-programs-');
  try {
    const [root, place] = [join(scratch, 'root'), join(scratch, 'oci')];
    mkdirSync(root);
    for (const program of programs) cpSync(program, join(root, basename(program)));
    const layers: Layer[] = [packLayer(root, 0)];
    const layout = new ImageLayout(place);
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const created = '1970-01-01T00:00:00Z';
    layout.addImage(image, { created, architecture, config, history: programs.map((name) => basename(name)) }, layers);
    layout.close();
    execFileSync('tar', ['--create', `--file=${archive}`, '-C', place, '.']);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const GROUPS = '/sys/fs/cgroup';

/** Removes what a cluster left on this machine once its processes are gone: its folder but for its logs, and empty control groups. */
export function clearCluster(built: string): void {
  const logs = join(built, 'cluster', 'log');
  if (existsSync(logs)) {
    rmSync(join(built, 'log'), { recursive: true, force: true });
    renameSync(logs, join(built, 'log'));
  }
  rmSync(join(built, 'cluster'), { recursive: true, force: true });
  for (const controller of readdirSync(GROUPS))
    for (const node of ['sallyport-node1', 'sallyport-node2']) removeGroup(join(GROUPS, controller, node));
}

function removeGroup(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(folder, entry.name));
  try {
    rmdirSync(folder);
  } catch {
    // A process that has just been killed may still be in it: the next run removes it.
  }
}
