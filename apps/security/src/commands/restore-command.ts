import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import type { Actor, HostChange } from '@sallyport/access';
import { parseIdentity } from '@sallyport/backup';
import { serverCrypto } from '@sallyport/channel/sodium';
import { readSettings } from '@sallyport/settings';
import { type Config, SETTINGS } from '../config.ts';
import { keyFileOf, openKeksOfExports } from '../keys/kek.ts';
import { endCommand, endWithSallyport } from './end-command.ts';
import { IDENTITY_FILE, KEY_FILE, readNamedFile } from './named-file.ts';
import { targetNamed } from './named-targets.ts';
import { orderedBy } from './ordered-by.ts';
import { type RestoreReport, type RestoreSource, restore } from './restore.ts';
import { drill, wordsOfDrill } from './restore-drill.ts';
import { wordsOfRestore } from './restore-report.ts';
import { chooseExport, exportPlaceOf } from './restore-source.ts';

const HELP = `node restore-command.ts [EXPORT] --identity FILE --actor NAME --reason TEXT [...]

What "sallyport backup restore" runs: restores an export into the database of the settings, or into one of our own in
the data folder, and begins a new epoch.

  EXPORT                  its name, or the path of its folder; absent: the newest that was verified
  --target PLACE          where exports are: a folder, sftp://… or s3://…
  --before TIME           the newest that is older than this (2026-11-26T14:05:00Z)
  --identity FILE         the private half of one of its recipients
  --key-file FILE         kek.json of a Security server of this realm; absent: the one that is in place
  --journal-is-lost       the journal is gone: all users stay out until somebody looks at them, unless
  --log-ended-at INDEX    the log had come to this entry (status shows it as the head), and copies hold all up to it
  --keep-operators        operators of the backup go on; absent: they come anew by a one-time token
  --host OLD=NEW          a host has another name now, wherever rows name it; as often as needed
  --drill                 restores it into a scratch folder instead, as onto an empty machine, and deletes that again
    --scratch FOLDER      where; absent: with temporary files
  --yes                   put aside what is here; the database of before is closed, or off for good
  --json                  for programs
`;

const OPTIONS = {
  target: { type: 'string' },
  before: { type: 'string' },
  identity: { type: 'string', default: '' },
  'key-file': { type: 'string' },
  actor: { type: 'string', default: '' },
  reason: { type: 'string', default: '' },
  'journal-is-lost': { type: 'boolean', default: false },
  'log-ended-at': { type: 'string' },
  'keep-operators': { type: 'boolean', default: false },
  host: { type: 'string', multiple: true, default: [] as string[] },
  drill: { type: 'boolean', default: false },
  scratch: { type: 'string' },
  yes: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

type Options = ReturnType<typeof parseOrder>['values'];

function parseOrder() {
  return parseArgs({ options: OPTIONS, allowPositionals: true });
}

function parseHost(text: string): HostChange {
  const [, from, to] = /^([^=\s/]+)=([^=\s/]+)$/.exec(text) ?? [];
  if (from === undefined || to === undefined) throw new Error(`--host is OLD=NEW, each host or host:port, not ${text}`);
  return { from, to };
}

function parseIndex(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Error('--log-ended-at is the number of an entry');
  return Number(text);
}

function parseTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new Error('--before is a time like 2026-11-26T14:05:00Z');
  return time;
}

/** Asks at the terminal; a program says --yes. */
async function ask(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new Error(`${question}\nwhoever is no person at a terminal says --yes`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

/** Restores it, or only tries to; gives the report, and its words. */
async function carryOut(which: string, options: Options): Promise<readonly [report: object, words: string]> {
  // Nobody needs a reason to try it.
  const by = options.drill ? undefined : orderedBy(options);
  if (!options.identity)
    throw new Error('what opens the export? --identity FILE, which belongs to one of its recipients');
  const config = readSettings(SETTINGS);
  const before = parseTime(options.before);
  const keyFile = resolve(options['key-file'] ?? keyFileOf(config));
  readNamedFile(keyFile, KEY_FILE);
  const keys = openKeksOfExports(serverCrypto(), keyFile);
  const identity = await parseIdentity(readNamedFile(options.identity, IDENTITY_FILE));
  const place = exportPlaceOf(which, options.target);
  const named = targetNamed(place.target);
  const target = await named.open();
  try {
    const { found, verified, passedOver } = await chooseExport(target, {
      ...{ realm: config.SALLYPORT_REALM, which: place.which, before, keys, identity },
    });
    for (const words of passedOver) say(`passed over ${words}`);
    say(
      `restoring ${found.manifest.name}, taken at ${found.manifest.takenAt}${verified ? '' : '; NOBODY HAS VERIFIED IT'}`,
    );
    const source = { target, open: () => named.open(), identity, found, keyFile };
    if (!by) {
      const drilled = await drill(config, source, { scratch: options.scratch, step });
      return [drilled, wordsOfDrill(drilled)];
    }
    const report = await restoreFor(config, source, { ...options, by });
    return [report, wordsOfRestore(report)];
  } finally {
    await target.close();
  }
}

async function restoreFor(
  config: Config,
  source: RestoreSource,
  options: Options & { readonly by: Actor },
): Promise<RestoreReport> {
  const { by, yes } = options;
  const hosts = options.host.map(parseHost);
  const logEndedAt = parseIndex(options['log-ended-at']);
  const off = 'The database of before: is it closed (sallyport realm close), or its server off for good?';
  if (!(yes || (await ask(off)))) throw new Error('as long as it is used, nothing that is revoked here is safe');
  return restore(config, source, {
    ...{ by, journalIsLost: options['journal-is-lost'], logEndedAt, hosts, step },
    operators: options['keep-operators'] ? 'stay' : 'out',
    confirm: (question) => (yes ? Promise.resolve(true) : ask(question)),
  });
}

function say(words: string): void {
  process.stderr.write(`${words}\n`);
}

function step(words: string): void {
  say(`· ${words}`);
}

endWithSallyport();
try {
  const { values, positionals } = parseOrder();
  if (values.help) process.stdout.write(HELP);
  else {
    const [report, words] = await carryOut(positionals[0] ?? 'newest', values);
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : words);
  }
} catch (error) {
  const { code, message } = error as Error & { code?: string };
  process.stderr.write(`${code?.startsWith('ERR_') ? `${code}: ` : ''}${message}\n`);
  process.exitCode = 1;
}
await endCommand();
