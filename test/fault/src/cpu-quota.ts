import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const V1 = '/sys/fs/cgroup/cpu';
const V2 = '/sys/fs/cgroup';

/**
 * A control group whose processes share so much CPU time, as a container with a limit has it: when the quota of a period is
 * used up, all of them stand still until the next one. Version 1 or 2, whichever the machine has; needs root.
 */
export class CpuQuota {
  readonly #folder: string;

  /** @throws Error when the machine has no controller for CPU time that we may use */
  constructor(name: string, quota: { readonly quotaMs: number; readonly periodMs: number }) {
    const first = existsSync(join(V1, 'cpu.cfs_quota_us'));
    this.#folder = join(first ? V1 : V2, name);
    if (!first) writeFileSync(join(V2, 'cgroup.subtree_control'), '+cpu');
    mkdirSync(this.#folder);
    const quotaUs = quota.quotaMs * 1000;
    const periodUs = quota.periodMs * 1000;
    const settings = { 'cpu.cfs_period_us': `${periodUs}`, 'cpu.cfs_quota_us': `${quotaUs}` };
    const limits = first ? settings : { 'cpu.max': `${quotaUs} ${periodUs}` };
    for (const [file, text] of Object.entries(limits)) this.#write(file, text);
  }

  /** From now on the process with all its threads has no more CPU time than the quota. */
  add(pid: number): void {
    this.#write('cgroup.procs', String(pid));
  }

  /** In how many periods the processes had to stand still. */
  get pauses(): number {
    const text = readFileSync(join(this.#folder, 'cpu.stat'), 'utf8');
    return Number(/^nr_throttled (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  /** Takes the group away once its processes have ended. */
  remove(): void {
    rmdirSync(this.#folder);
  }

  #write(file: string, text: string): void {
    writeFileSync(join(this.#folder, file), text);
  }
}
