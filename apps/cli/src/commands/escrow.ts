import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { formatBase64Url } from '@sallyport/channel';
import {
  combineShares,
  EscrowError,
  type EscrowReceipt,
  formatOfficer,
  makeOfficer,
  type OpenedSet,
  openIdentity,
  openShare,
  receiptOfDrill,
  receiptOfShare,
  type ShareFile,
} from '@sallyport/escrow';
import type { EscrowView } from '@sallyport/security-api/admin';
import { escrows } from '@sallyport/security-api/admin';
import { readJsonFile, replacePrivateFile } from '@sallyport/settings';
import { type Command, Option } from 'commander';
import { addOperatorCommand, type Given, table } from '../operator-command.ts';
import { CliError, formatTime, printJson } from '../output.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { saidReason } from '../reason.ts';
import { askSecret, readStdin } from '../secrets.ts';
import { runOnSecurityHost } from '../security-host.ts';
import { say } from '../terminal.ts';
import { userPath } from '../user-path.ts';

/** `sallyport escrow …` */
export function addEscrowCommands(program: Command): void {
  const escrow = program
    .command('escrow')
    .description('copies of the keys, split among officers of whom some must agree');
  addHostCommand(escrow, 'create', 'on a Security host: split the keys among officers');
  addHostCommand(
    escrow,
    'renew',
    'on a Security host, when an officer leaves or the key was turned: turn the key, split the new one, end all sets of before',
  );
  addOfficerCommands(escrow);
  addOpeningCommands(escrow);
  addOperatorCommand(escrow, {
    name: 'status',
    about: 'all sets: who has a share, who proved that it opens, when the last drill was',
    run: async (admin) => (await admin.all(escrows.list)).sort((a, b) => b.createdAt - a.createdAt),
    show: table(['set', 'needs', 'officers', 'keys', 'fits', 'lastDrill', 'ended'], rowOf),
  });
  addOperatorCommand(escrow, {
    name: 'receipt <file>',
    about: 'put the receipt of an officer or of a drill on record',
    run: (admin, { reason }, file: string) =>
      admin.call(escrows.prove, { body: readJsonFile(userPath(file)) as EscrowReceipt, reason }),
    show: ({ set, officers, drilledAt }) => {
      const proven = officers.flatMap(({ name, provenAt }) => (provenAt === undefined ? [] : [name]));
      say`✔ on record for escrow ${set}; proven so far: ${proven.join(', ')}\n`;
      if (drilledAt !== undefined) say`  last drill: ${formatTime(drilledAt)}\n`;
    },
  });
  addOperatorCommand(escrow, {
    name: 'end <set>',
    about: 'a set counts no more; let its officers destroy their shares',
    reason: ['ending an escrow', 'a share was lost'],
    run: (admin, { reason }: Given<unknown>, set: string) => admin.call(escrows.end, { params: { set }, reason }),
    show: (_done, _given, set: string) => say`✔ escrow ${set} counts no more; let its officers destroy their shares\n`,
  });
}

function rowOf({ set, threshold, officers, keks, fits, drilledAt, endedAt }: EscrowView): object {
  return {
    set,
    needs: `${threshold} of ${officers.length}`,
    officers: officers
      .map(({ name, provenAt }) => `${name} (${provenAt === undefined ? 'never opened' : formatTime(provenAt)})`)
      .join(', '),
    keys: keks.join(', '),
    fits: fits ? 'yes' : 'NO',
    lastDrill: drilledAt === undefined ? 'never' : formatTime(drilledAt),
    ended: endedAt === undefined ? '' : formatTime(endedAt),
  };
}

interface MakeOptions {
  readonly officers: readonly string[];
  readonly threshold: string;
  readonly out?: string;
  readonly actor: string;
}

function addHostCommand(escrow: Command, verb: 'create' | 'renew', about: string): void {
  escrow
    .command(verb)
    .description(about)
    .requiredOption('--officers <files...>', 'public files of the officers, as "escrow officer new" wrote them')
    .requiredOption('--threshold <k>', 'how many of them it takes, 2 or more')
    .option('--out <folder>', 'where their files are written; absent: escrow-<set>')
    .option('--actor <name>', 'who does this, for the audit log', ownName())
    .action(async ({ officers, threshold, out, actor }: MakeOptions, command: Command) => {
      const globals = globalsOf(command);
      const { json } = globals;
      const reason = saidReason(globals.reason, 'why? keys are given to officers for a reason', 'first escrow');
      const order = [
        verb,
        ...['--actor', actor, '--reason', reason, '--threshold', threshold],
        ...officers.flatMap((file) => ['--officers', userPath(file)]),
        ...(out === undefined ? [] : ['--out', userPath(out)]),
        ...(json ? ['--json'] : []),
      ];
      if (await runOnSecurityHost(globals, { name: 'escrow-command', order })) return;
      throw new CliError('no escrow was made', 'run it where Security runs, with the settings that it has');
    });
}

function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}

const PASSPHRASE_STDIN = ['--passphrase-stdin', 'read passphrases from standard input, one in a line'] as const;

function addOfficerCommands(escrow: Command): void {
  escrow
    .command('officer')
    .description('officers: each makes their key on a machine of their own')
    .command('new <name>')
    .description('make a key: an identity to keep, with a passphrase, and a public file for whoever makes the escrow')
    .option('--out <folder>', 'where the two files are written', '.')
    .option(...PASSPHRASE_STDIN)
    .action(
      async (name: string, { out, passphraseStdin }: { out: string; passphraseStdin?: true }, command: Command) => {
        const passphrase = await newPassphrase(passphraseStdin === true);
        const { officer, identity } = await makeOfficer(name, passphrase);
        const files = [`${name}.identity.age`, `${name}.officer`].map((file) => join(userPath(out), file)) as [
          string,
          string,
        ];
        for (const file of files)
          if (existsSync(file)) throw new CliError(`${file} is there already: nothing was written`);
        writeFileSync(files[0], identity, { flag: 'wx', mode: 0o600, flush: true });
        writeFileSync(files[1], formatOfficer(officer), { flag: 'wx', flush: true });
        if (globalsOf(command).json) return printJson({ identity: files[0], officer: files[1] });
        say`✔ ${files[0]}: keep it, and keep the passphrase; without both your share opens never more\n`;
        say`  ${files[1]}: give it to whoever makes the escrow, it is not secret\n`;
      },
    );
}

async function newPassphrase(fromStdin: boolean): Promise<string> {
  if (fromStdin) return readStdin();
  const first = await askSecret('Passphrase (12 characters or more)', false, '--passphrase-stdin');
  if (first !== (await askSecret('Once more', false, '--passphrase-stdin')))
    throw new CliError('the two are not the same');
  return first;
}

interface OpenOptions {
  readonly share: readonly string[];
  readonly identity: readonly string[];
  readonly passphraseStdin?: true;
  readonly receipt?: string;
}

function addOpeningCommands(escrow: Command): void {
  escrow
    .command('check <share>')
    .description('as an officer: see that your share opens, and write a receipt that tells nothing of it')
    .requiredOption('--identity <file>', 'your identity')
    .option('--receipt <file>', 'where the receipt is written; absent: receipt.json')
    .option(...PASSPHRASE_STDIN)
    .action(
      async (
        share: string,
        options: Omit<OpenOptions, 'share' | 'identity'> & { identity: string },
        command: Command,
      ) => {
        const given = { ...options, share: [share], identity: [options.identity] };
        const [opened] = (await openShares(given)) as [ShareFile];
        const { set, threshold, officers } = opened.description;
        const file = writeReceipt(receiptOfShare(opened, Date.now()), options.receipt);
        if (globalsOf(command).json) return printJson({ set, officer: opened.name, receipt: file });
        say`✔ the share of ${opened.name} opens: escrow ${set}, ${String(threshold)} of ${String(officers.length)}\n`;
        sayReceipt(file);
      },
    );
  manyShares(
    escrow,
    'drill',
    'as officers, together: see that your shares give the keys back; they are written nowhere',
  )
    .option('--receipt <file>', 'where the receipt is written; absent: receipt.json')
    .action(async (options: OpenOptions, command: Command) => {
      const shares = await openShares(options);
      const opened = await combineShares(shares);
      const names = shares.map(({ name }) => name);
      const file = writeReceipt(receiptOfDrill(opened, shares, Date.now()), options.receipt);
      wipe(opened);
      const { set, keks } = opened.description;
      if (globalsOf(command).json) return printJson({ set, officers: names, receipt: file });
      say`✔ the shares of ${names.join(', ')} open escrow ${set}: keys ${keks.map(({ id }) => id).join(', ')} and the root key\n`;
      sayReceipt(file);
    });
  manyShares(escrow, 'open', 'as officers, together, on a new Security host: write the key file')
    .option('--root-key <file>', "write the realm's root key, too: for a realm that is built anew without its database")
    .action(async (options: OpenOptions & { rootKey?: string }, command: Command) => {
      const globals = globalsOf(command);
      const file = join(globals.data, 'security', 'kek.json');
      if (existsSync(file)) throw new CliError(`${file} is there already: nothing was written`);
      const opened = await combineShares(await openShares(options));
      replacePrivateFile(file, keyFileText(opened));
      if (options.rootKey !== undefined) replacePrivateFile(userPath(options.rootKey), `${opened.content.rootKey}\n`);
      wipe(opened);
      sayOpened(opened, file, globals);
    });
}

function manyShares(escrow: Command, name: string, about: string): Command {
  return escrow
    .command(name)
    .description(about)
    .addOption(new Option('--share <files...>', 'files of the officers').makeOptionMandatory())
    .addOption(new Option('--identity <files...>', 'their identities, in the same order').makeOptionMandatory())
    .option(...PASSPHRASE_STDIN);
}

/** Opens each share with the identity of its officer, who types their passphrase. */
async function openShares({ share, identity, passphraseStdin }: OpenOptions): Promise<ShareFile[]> {
  if (share.length !== identity.length)
    throw new CliError(
      'each share needs the identity of its officer',
      'as many --identity as --share, in the same order',
    );
  const lines = passphraseStdin ? (await readStdin()).split('\n') : [];
  const shares: ShareFile[] = [];
  for (const [i, file] of share.entries()) {
    const passphrase = async (): Promise<string> =>
      passphraseStdin
        ? (lines.shift() ?? '')
        : askSecret(`Passphrase for ${identity[i]!}`, false, '--passphrase-stdin');
    try {
      const secret = await openIdentity(readFileSync(userPath(identity[i]!)), passphrase);
      shares.push(await openShare(readFileSync(userPath(file)), secret));
    } catch (error) {
      if (!(error instanceof EscrowError)) throw error;
      throw new CliError(`${file}: ${error.message}`);
    }
  }
  return shares;
}

function keyFileText({ content: { keks } }: OpenedSet): string {
  const texts = (keys: ReadonlyMap<number, Uint8Array>): Record<string, string> =>
    Object.fromEntries([...keys].map(([id, key]) => [id, formatBase64Url(key)]));
  const { current, keys, retired } = keks;
  const kept = retired.size === 0 ? {} : { retired: texts(retired) };
  return `${JSON.stringify({ current, keys: texts(keys), ...kept, sealed: true }, null, 2)}\n`;
}

function wipe({ content: { keks } }: OpenedSet): void {
  for (const key of [...keks.keys.values(), ...keks.retired.values()]) key.fill(0);
}

function writeReceipt(receipt: EscrowReceipt, file = 'receipt.json'): string {
  writeFileSync(userPath(file), `${JSON.stringify(receipt)}\n`, { flush: true });
  return file;
}

function sayReceipt(file: string): void {
  say`  ${file}: give it to an operator, who puts it on record (sallyport escrow receipt ${file}); it tells nothing of your share\n`;
}

function sayOpened({ description }: OpenedSet, file: string, { json }: GlobalOptions): void {
  const { set, realm, keks } = description;
  if (json) return printJson({ set, realm, file });
  say`✔ ${file} has keys ${keks.map(({ id }) => id).join(', ')} of realm ${realm} again, from escrow ${set}\n`;
  say`  next: restore its database, or start Security with it. Your shares were together on this machine: renew the escrow (sallyport escrow renew)\n`;
}
