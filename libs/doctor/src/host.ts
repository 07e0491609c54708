import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Diagnosis } from './diagnosis.ts';

const MIB = 1_048_576;
/** Below so much a server stops soon; below the other somebody should look. */
const LEAST_FREE_BYTES = 64 * MIB;
const FREE_BYTES = 1024 * MIB;
const FREE_SHARE = 0.1;

/** Whether the folder of a server can be written, and how much room is left. */
export function examineDisk(folder: string): Diagnosis {
  const subject = `disk of ${folder}`;
  const check = 'disk';
  if (!existsSync(folder))
    return {
      subject,
      check,
      state: 'failure',
      words: 'there is no such folder',
      next: 'is the setting right that names it?',
    };
  const written = tryToWrite(folder);
  const { bavail, bsize, blocks } = statfsSync(folder);
  const free = bavail * bsize;
  const left = `${Math.floor(free / MIB)} MiB of ${Math.floor((blocks * bsize) / MIB)} MiB are left`;
  if (written !== undefined)
    return {
      subject,
      check,
      state: 'failure',
      words: `nothing can be written (${written}): ${left}`,
      next: ROOM[written] ?? 'see the owner and mode of the folder',
    };
  if (free < LEAST_FREE_BYTES) return { subject, check, state: 'failure', words: left, next: ROOM['ENOSPC']! };
  if (free < FREE_BYTES || free < blocks * bsize * FREE_SHARE)
    return { subject, check, state: 'warning', words: left, next: ROOM['ENOSPC']! };
  return { subject, check, state: 'ok', words: left };
}

const ROOM: Readonly<Record<string, string>> = {
  ENOSPC: 'make room or enlarge the volume: du -xh --max-depth=2 shows what is large',
  EDQUOT: 'raise the quota of its user',
  EROFS: 'mount it to be written, and see the log of the kernel for why it is not',
  EACCES: 'chown it to the user of the server; the doctor runs as that user',
};

/** Writes a file and takes it away; the code of what failed. */
function tryToWrite(folder: string): string | undefined {
  const file = join(folder, `.doctor-${process.pid}`);
  try {
    const descriptor = openSync(file, 'wx', 0o600);
    try {
      writeSync(descriptor, Buffer.alloc(4_096));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
      unlinkSync(file);
    }
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'it failed';
  }
}

/** A server cannot work with fewer files. */
const LEAST_FILES = 4_096;

/** What a server wants of the limits of its process. */
export interface FileDemand {
  readonly server: 'security' | 'proxy';
  /** Files and sockets at once. */
  readonly files: number;
}

/** The limit of open files: of the server, when it runs here and shows it, else of this process. */
export function examineOpenFiles({ server, files }: FileDemand): Diagnosis {
  const running = pidOf(`apps/${server}/src/main.ts`);
  const limit = limitOf(running ?? 'self');
  const subject = running === undefined ? 'open files of this shell' : `open files of ${server} (process ${running})`;
  const next = 'LimitNOFILE=1000000 in the unit of the service (systemctl edit), or ulimit -n';
  if (limit < LEAST_FILES)
    return {
      subject,
      check: 'files',
      state: 'failure',
      words: `${limit} at most, and ${files} are wanted: connections will be refused`,
      next,
    };
  if (limit < files)
    return {
      subject,
      check: 'files',
      state: 'warning',
      words: `${limit} at most, and ${files} are wanted when all sockets are in use`,
      next,
    };
  return { subject, check: 'files', state: 'ok', words: `${limit} at most` };
}

/** The hard limit counts: Node raises the soft one to it. */
function limitOf(process: string): number {
  const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync(`/proc/${process}/limits`, 'utf8')) ?? [];
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

/** A process of this host that runs a program and shows its limits to us. */
function pidOf(program: string): string | undefined {
  return readdirSync('/proc').find((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      readlinkSync(`/proc/${name}/exe`);
      return readFileSync(`/proc/${name}/cmdline`, 'utf8')
        .split('\0')
        .some((part) => part.endsWith(program));
    } catch {
      return false;
    }
  });
}
