import { setTimeout as sleep } from 'node:timers/promises';
import { escrows, type KekStatus, keks } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import { type Command, Option } from 'commander';
import { addOperatorCommand, type Given } from '../operator-command.ts';
import { formatRows, formatTime } from '../output.ts';
import { globalsOf } from '../program.ts';
import { runOnSecurityHost } from '../security-host.ts';
import { printable, say, warn } from '../terminal.ts';

/** How far a turn is, is looked at this often, ms. */
const LOOK_MS = 1_000;

interface RotateOptions {
  readonly without?: readonly string[];
  readonly wait: boolean;
}

/** `sallyport kek …` */
export function addKekCommands(program: Command): void {
  const kek = program.command('kek').description('key-encryption keys: what wraps every secret in the database');
  addOperatorCommand(kek, {
    name: 'show',
    about: 'all keys by number, how far their turn is, and which node has which',
    run: (admin) => admin.call(keks.show),
    show: (view) => void process.stdout.write(formatKeks(view)),
  });
  addOperatorCommand(kek, {
    name: 'rotate',
    about: 'a new key for everything, while all nodes run; the same command again follows a turn that is under way',
    options: [
      new Option(
        '--without <nodes...>',
        'silent nodes that it does not wait for; they need the file of another node later',
      ),
      ['--no-wait', 'do not follow it to its end'],
    ],
    reason: ['turning the key-encryption key', 'an administrator left'],
    run: rotate,
    show: showTurned,
    afterwards: sayEscrow,
  });
  kek
    .command('new')
    .description('a first key in a file, for a realm whose nodes begin with a mounted secret (SALLYPORT_KEK_FILE)')
    .argument('<file>', 'where it is written; nothing is replaced')
    .action(async (file: string, _options: unknown, command: Command) => {
      if (!(await runOnSecurityHost(globalsOf(command), { name: 'kek-command', order: [file] }))) process.exitCode = 1;
    });
  addOperatorCommand(kek, {
    name: 'forget <number>',
    about: 'take a retired key out of the files of all nodes: backups of before open no more',
    reason: ['forgetting a key', 'all backups of last year are gone'],
    run: (admin, { reason }, number: string) => admin.call(keks.forget, { params: { kek: number }, reason }),
    show: (_done, _given, number: string) =>
      say`✔ every node that is up takes key ${number} out of its file; backups of before, and tokens and codes that were made with it, are good for nothing now\n`,
    afterwards: saySilent,
  });
}

/** Begins a turn, or joins one, and follows it. */
async function rotate(admin: AdminClient, { options, reason, globals }: Given<RotateOptions>): Promise<KekStatus> {
  const { without = [], wait } = options;
  let view = await admin.call(keks.rotate, { body: { without }, reason });
  for (let said = ''; wait && isTurning(view); view = await admin.call(keks.show)) {
    const words = wordsOf(view);
    if (words !== said && !globals.json) say`  ${words}\n`;
    said = words;
    await sleep(LOOK_MS);
  }
  return view;
}

function isTurning({ turn }: KekStatus): boolean {
  return turn !== undefined && turn.state !== 'done';
}

/** Where a turn is, and whom it waits for. */
function wordsOf({ turn }: KekStatus): string {
  if (!turn) return 'no key was ever turned';
  const { kek, state, waitingFor, renewed } = turn;
  const waits = waitingFor.map(({ node, why }) => `${node} (${why})`).join(', ');
  const rest = waits === '' ? '' : `, waits for ${waits}`;
  if (state === 'done') return `everything is wrapped with key ${kek}`;
  if (kek === 0) return `a key is being drawn${rest}`;
  if (state === 'spreading') return `key ${kek} goes to every node${rest}`;
  return `everything is being wrapped with key ${kek}: ${renewed} rows so far${rest}`;
}

function showTurned(view: KekStatus): void {
  const { turn } = view;
  if (turn?.state !== 'done') return say`  ${wordsOf(view)}; follow it: sallyport kek show\n`;
  const { kek, forged } = turn;
  say`✔ everything is wrapped with key ${String(kek)}; the old one opens nothing any more, and stays in the files for backups of before\n`;
  if (forged > 0)
    say`  ${String(forged)} rows were written by nobody with a key: they open nowhere, see the log of Security\n`;
}

function formatKeks(view: KekStatus): string {
  const rows = view.keks.map(({ id, state, createdAt, retiredAt }) => ({
    id,
    state,
    since: createdAt === undefined ? '' : formatTime(createdAt),
    retired: retiredAt === undefined ? '' : formatTime(retiredAt),
  }));
  const nodes = view.nodes.map(({ id, awake, current, keks: has }) => ({
    id: printable(id),
    state: awake ? 'awake' : 'silent',
    'wraps with': current === 0 ? '?' : current,
    has: has.join(', '),
  }));
  return [
    formatRows(rows, ['id', 'state', 'since', 'retired']),
    `turn  ${printable(wordsOf(view))}`,
    '',
    formatRows(nodes, ['id', 'state', 'wraps with', 'has']),
  ].join('\n');
}

/** A set that was made before the turn lacks the new key. */
async function sayEscrow(admin: AdminClient, view: KekStatus): Promise<void> {
  const counting = (await admin.all(escrows.list)).filter(({ endedAt }) => endedAt === undefined);
  if (isTurning(view) || counting.length === 0 || counting.some(({ fits }) => fits)) return;
  const { set } = counting[0]!;
  warn`escrow ${set} lacks the new key: make another one on a Security host (sallyport escrow create), and end it (sallyport escrow end ${set})\n`;
}

/** Whose file keeps what was forgotten for now. */
async function saySilent(admin: AdminClient): Promise<void> {
  const silent = (await admin.call(keks.show)).nodes.filter(({ awake }) => !awake).map(({ id }) => id);
  if (silent.length > 0)
    warn`node ${silent.join(', ')} is silent: its kek.json keeps the key until it starts again; one that will not come back is to be wiped\n`;
}
