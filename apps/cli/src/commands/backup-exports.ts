import type { Command } from 'commander';
import { CliError, formatBytes, printJson, printRows } from '../output.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { askSecurityHost, runOnSecurityHost } from '../security-host.ts';
import { say } from '../terminal.ts';

interface Places {
  readonly target?: readonly string[];
  readonly recipient?: readonly string[];
}

/** Where backups are, on the command line. */
export const TARGET = [
  '--target <place...>',
  'a folder, file:/…, sftp://… or s3://…; absent: SALLYPORT_BACKUP_TARGETS',
] as const;
const RECIPIENT = [
  '--recipient <file...>',
  'recipient files, from "backup keys new"; absent: SALLYPORT_BACKUP_RECIPIENTS',
] as const;

/** `sallyport backup keys new`, `create`, `list`, `show` and `verify`: on a Security host, or wherever the identity is. */
export function addBackupExportCommands(backup: Command): void {
  addKeys(backup);
  backup
    .command('create')
    .description('on a Security host: makes a backup now, while everything works')
    .option(...TARGET)
    .option(...RECIPIENT)
    .action(create);
  backup
    .command('list')
    .description('backups at the targets, newest first, and whether they count')
    .option(...TARGET)
    .option(...RECIPIENT)
    .option('--limit <count>', 'so many of each target', '50')
    .action(list);
  backup
    .command('show <name>')
    .description('one backup: what it holds, who verified it')
    .option(...TARGET)
    .option(...RECIPIENT)
    .action(show);
  backup
    .command('verify [name]')
    .description('restores a backup, the newest unless it is named, into a scratch database, and signs that it is good')
    .requiredOption('--identity <file>', 'identity of one of its recipients; not kept where backups are made')
    .option(...TARGET)
    .option('--scratch <folder>', 'where the scratch database lives meanwhile; absent: with temporary files')
    .option('--watch', 'go on: verify the newest one of each target as it comes')
    .option('--pause <seconds>', 'with --watch: between two looks', '60')
    .action(verify);
}

function addKeys(backup: Command): void {
  const keys = backup.command('keys').description('who can open backups');
  keys
    .command('new <name>')
    .description('makes an identity file, to be taken away and kept, and a recipient file, for the servers')
    .option('--out <folder>', 'where they are written', '.')
    .action(makeKeys);
}

async function makeKeys(name: string, { out }: { out: string }, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const made = (await ask(globals, ['keys', name, '--out', out])) as { identityFile: string; recipientFile: string };
  if (globals.json) return printJson(made);
  say`identity   ${made.identityFile}\nrecipient  ${made.recipientFile}\n\n`;
  say`next: 1. take the identity away from here, to where no server and no kek.json is; without it no backup opens\n`;
  say`      2. copy the recipient file to each Security host and name it there: --recipient, or SALLYPORT_BACKUP_RECIPIENTS\n`;
}

interface Created {
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  readonly targets: readonly { readonly target: string; readonly fault: string }[];
}

const WHAT_CODES_MEAN = 'docs/errors.md says what its code means';

async function create(places: Places, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const made = (await ask(globals, ['create', ...orderOf(places)])) as Created;
  if (globals.json) printJson(made);
  else sayCreated(made, places);
  if (made.targets.some(({ fault }) => fault !== '')) process.exitCode = 1;
}

function sayCreated({ name, rows, bytes, targets }: Created, { target: named }: Places): void {
  const isKept = targets.some(({ fault }) => fault === '');
  say`${isKept ? '✔' : 'no target has'} ${name}: ${rows} rows, ${formatBytes(bytes)}\n`;
  for (const { target, fault } of targets) say`  ${target}: ${fault || 'has it, and gave it back as it is'}\n`;
  if (!isKept) return;
  const kept = named?.filter((_, i) => targets[i]?.fault === '');
  const where = kept ? ` --target ${kept.join(' ')}` : '';
  say`it counts once it was verified: sallyport backup verify ${name}${where} --identity …\n`;
}

async function list({ limit, ...places }: Places & { limit: string }, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const rows = (await ask(globals, ['list', '--limit', limit, ...orderOf(places)])) as readonly {
    readonly bytes: number;
    readonly state: string;
  }[];
  if (globals.json) return printJson(rows);
  const shown = rows.map((row) => ({ ...row, size: row.bytes === undefined ? '-' : formatBytes(row.bytes) }));
  printRows(shown, ['name', 'takenAt', 'state', 'verifiedAt', 'rows', 'size', 'target', 'fault'], false);
}

async function show(name: string, places: Places, command: Command): Promise<void> {
  const globals = globalsOf(command);
  printJson(await ask(globals, ['show', name, ...orderOf(places)]));
}

interface Verified {
  readonly target: string;
  /** What is wrong with the target, or its backup; then there is nothing else. */
  readonly fault: string;
  readonly name: string;
  readonly rows: number;
  readonly macs: boolean;
  readonly tookMs: number;
}

interface VerifyOptions extends Places {
  readonly identity: string;
  readonly scratch?: string;
  readonly watch?: true;
  readonly pause: string;
}

async function verify(
  name: string | undefined,
  { identity, scratch, watch, pause, ...places }: VerifyOptions,
  command: Command,
): Promise<void> {
  const globals = globalsOf(command);
  const given = [...(name === undefined ? [] : [name]), '--identity', identity];
  const where = scratch === undefined ? [] : ['--scratch', scratch];
  if (watch) return goOnVerifying(globals, ['--pause', pause, '--identity', identity, ...where, ...orderOf(places)]);
  const verified = (await ask(globals, ['verify', ...given, ...where, ...orderOf(places)])) as readonly Verified[];
  if (verified.some(({ fault }) => fault !== '')) process.exitCode = 1;
  if (globals.json) return printJson(verified);
  for (const { target, fault, rows, macs, tookMs, ...one } of verified) {
    if (fault !== '') {
      say`not verified at ${target}: ${fault}\n`;
      continue;
    }
    say`✔ ${one.name} at ${target}: ${rows} rows restored and checked in ${Math.ceil(tookMs / 1_000)} s; its receipt is signed, and counts within a minute\n`;
    if (!macs)
      say`  there is no kek.json here: MACs were not checked. Security holds its manifest against the realm's keys itself\n`;
  }
}

/** Until it is ended: signals reach the program, which finishes what it is at. */
async function goOnVerifying(globals: GlobalOptions, order: readonly string[]): Promise<void> {
  if (await runOnSecurityHost(globals, { name: 'backup-command', order: ['watch', ...order] })) return;
  throw new CliError('it ended by itself', WHAT_CODES_MEAN);
}

function orderOf({ target = [], recipient = [] }: Places): string[] {
  return [...target.flatMap((place) => ['--target', place]), ...recipient.flatMap((file) => ['--recipient', file])];
}

async function ask(globals: GlobalOptions, order: readonly string[]): Promise<unknown> {
  const answer = JSON.parse(await askSecurityHost(globals, { name: 'backup-command', order })) as { error?: string };
  const { error } = answer;
  if (error === undefined) return answer;
  throw error.startsWith('ERR_') ? new CliError(error, WHAT_CODES_MEAN) : new CliError(error);
}
