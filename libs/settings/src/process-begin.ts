import { readFileSync, readlinkSync } from 'node:fs';

/**
 * When a process began, as the system counts (field 22 of `/proc/<pid>/stat`, proc(5)): another one may get its number. Undefined when
 * there is no such process, or one that has ended (state Z or X).
 */
export function processBegun(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return 'ZXx'.includes(state) ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

/** Where the numbers of processes count: this boot of this machine, and of its containers this one. */
export function processSpace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return '';
  }
}
