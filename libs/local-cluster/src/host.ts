import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/** A machine, real or played by a network namespace of this one. */
export interface Host {
  readonly name: string;
  readonly address: string;
  /** Name of the network namespace that plays it; absent: this machine itself. */
  readonly namespace?: string;
}

/** A user of the system that servers run as which refuse root. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** As root: the user `postgres` of the Debian package. Otherwise nobody else. */
export function serverUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [, , uid, gid] =
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .find(([name]) => name === 'postgres') ?? [];
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/** A command line as it is run on a host: in its namespace, as its user, and ended when we end. Its process id stays. */
export function commandOn(host: Host, user: SystemUser | undefined, command: readonly string[]): string[] {
  const inside = host.namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${host.namespace}`];
  const identity = user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : [];
  return [...inside, 'setpriv', '--pdeathsig', 'TERM', ...identity, ...command];
}

/** Makes a folder that belongs to the servers' user and that nobody else reads. */
export function privateFolder(folder: string, user: SystemUser | undefined): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (user) chownSync(folder, user.uid, user.gid);
  return folder;
}

/** Writes a file that only the servers' user reads: configurations hold passwords. */
export function privateFile(file: string, content: string, user: SystemUser | undefined, mode = 0o600): string {
  writeFileSync(file, content, { mode });
  if (user) chownSync(file, user.uid, user.gid);
  return file;
}

/** True when a program is on the path. */
export function hasProgram(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' }).status === 0;
}
