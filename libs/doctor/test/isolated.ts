// Played by isolated.test.ts in a network and mounts of its own: one fault, and what the doctor says of it, as JSON.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TestAuthority } from '../../../test/support/src/authority.ts';
import { scratchFolder } from '../../../test/support/src/scratch.ts';
import {
  type Diagnosis,
  examineDisk,
  examineOpenFiles,
  examineService,
  type Leg,
  type WaitLimits,
} from '../src/index.ts';
import { playSecurity } from './played.ts';

const LIMITS: WaitLimits = { connectMs: 2_000, answerMs: 2_000, holdMs: 1, askEveryMs: 1 };
const HOST = '127.0.0.1';

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Rules for what comes to a port, and for what leaves from it. */
function firewall(...rules: readonly string[]): void {
  run('ip', 'link', 'set', 'lo', 'up');
  run('nft', 'add table inet test');
  run('nft', 'add chain inet test into { type filter hook input priority filter; }');
  run('nft', 'add chain inet test out { type filter hook output priority filter; }');
  for (const rule of rules) run('nft', `add rule inet test ${rule}`);
}

async function security(rules: (port: number) => readonly string[]): Promise<readonly Diagnosis[]> {
  run('ip', 'link', 'set', 'lo', 'up');
  const authority = await TestAuthority.create('CA');
  const { port, close } = await playSecurity(await authority.issue({ names: [HOST] }));
  firewall(...rules(port));
  const leg: Leg = { from: 'Proxy', to: 'Security', host: HOST, port };
  const found = await examineService({ leg, tls: { ca: authority.certificate }, isOurs: true }, LIMITS);
  void close();
  return found;
}

function fullDisk(): readonly Diagnosis[] {
  const folder = scratchFolder();
  run('mount', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder);
  const file = openSync(join(folder, 'all'), 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4_096));
  } catch {
    closeSync(file);
  }
  return [examineDisk(folder)];
}

const FAULTS: Readonly<Record<string, () => Promise<readonly Diagnosis[]> | readonly Diagnosis[]>> = {
  'dropped on the way in': () => security((port) => [`into tcp dport ${port} drop`]),
  'dropped on the way back': () => security((port) => [`out tcp sport ${port} drop`]),
  rejected: () => security((port) => [`into tcp dport ${port} reject with icmpx admin-prohibited`]),
  'everything dropped': () => security(() => ['into meta l4proto tcp drop']),
  'large packets vanish': () => security((port) => [`into tcp dport ${port} meta length > 1300 drop`]),
  'large packets vanish on the way back': () => security((port) => [`out tcp sport ${port} meta length > 1300 drop`]),
  'full disk': fullDisk,
  'few files': () => [examineOpenFiles({ server: 'proxy', files: 50_000 })],
};

process.stdout.write(JSON.stringify(await FAULTS[process.argv[2]!]!()));
process.exit();
