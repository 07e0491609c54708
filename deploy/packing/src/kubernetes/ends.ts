import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NAMESPACE, type RunningPod, type TrialCluster } from './cluster.ts';

const LOOK_MS = 5_000;
const LAST_LINES = 3;
/** A server ends so when it was told to, or was killed from outside. */
const TOLD: readonly (number | undefined)[] = [undefined, 0, 137, 143];

/** Looks again and again which containers of the farm ended themselves, and keeps their logs beside those of the cluster. */
export class EndedContainers {
  /** Pods, with the exit status, of those that ended themselves. */
  readonly found: string[] = [];
  readonly #cluster: TrialCluster;
  readonly #say: (text: string) => void;
  readonly #restarts = new Map<string, number>();
  readonly #looking: Promise<void>;
  #stopped = false;

  constructor(cluster: TrialCluster, say: (text: string) => void) {
    this.#cluster = cluster;
    this.#say = say;
    this.#looking = this.#look();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#looking;
  }

  async #look(): Promise<void> {
    while (!this.#stopped) {
      // A pod may go while it is asked for: the next look tells.
      await this.#once().catch(() => undefined);
      await sleep(LOOK_MS);
    }
  }

  async #once(): Promise<void> {
    for (const part of ['security', 'proxy'] as const)
      for (const pod of await this.#cluster.pods(part)) if (this.#isNew(pod)) await this.#tell(pod);
  }

  #isNew({ uid, restarts, exitCode }: RunningPod): boolean {
    const isNew = restarts > (this.#restarts.get(uid) ?? 0);
    this.#restarts.set(uid, restarts);
    return isNew && !TOLD.includes(exitCode);
  }

  async #tell({ name, restarts, exitCode }: RunningPod): Promise<void> {
    const what = `${name} ended itself with ${exitCode}`;
    this.found.push(what);
    const log = await this.#cluster.kubectl('-n', NAMESPACE, 'logs', name, '--previous').catch(() => '');
    writeFileSync(join(this.#cluster.folder, 'log', `${name}-${restarts}.log`), log, { mode: 0o600 });
    this.#say(`${what}: ${log.trim().split('\n').slice(-LAST_LINES).join(' | ')}`);
  }
}
