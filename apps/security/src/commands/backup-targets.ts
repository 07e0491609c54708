import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import {
  type ExportWorth,
  markTarget,
  openTarget,
  type Pruned,
  parseKeepRule,
  parseRecipients,
  parseTargetPlace,
  pruneExports,
  type TargetPlace,
  worthOf,
} from '@sallyport/backup';
import { serverCrypto } from '@sallyport/channel/sodium';
import { readSettings } from '@sallyport/settings';
import { type Config, SETTINGS } from '../config.ts';
import { keyFileOf, openKeksOfExports } from '../keys/kek.ts';
import { endCommand, endWithSallyport } from './end-command.ts';
import { RECIPIENT_FILE, readNamedFile } from './named-file.ts';

const HELP = `node backup-targets.ts init|prune [--dry-run] [--json]

What "sallyport backup target init" and "sallyport backup prune" run, at every target of SALLYPORT_BACKUP_TARGETS.
Pruning needs kek.json and SALLYPORT_BACKUP_RECIPIENTS: only backups and receipts that are genuine count.

  init        marks each once: what has no mark is taken for no target, such as a share that is not mounted
  prune       removes what SALLYPORT_BACKUP_KEEP does not keep
    --dry-run only says what would go
  --target PLACE  a folder, file:/..., sftp://... or s3://... instead of those
`;

/** What became of one target. */
interface Outcome {
  readonly target: string;
  readonly words: string;
  readonly failed: boolean;
  readonly pruned?: Pruned;
}

type Verb = (place: TargetPlace) => Promise<Omit<Outcome, 'target' | 'failed'>>;

async function init(place: TargetPlace): Promise<Omit<Outcome, 'target' | 'failed'>> {
  const target = await place.open();
  try {
    return { words: (await markTarget(target)) ? 'is marked as a target of backups now' : 'was marked before' };
  } finally {
    await target.close();
  }
}

async function prune(place: TargetPlace, config: Config, dryRun: boolean): Promise<Omit<Outcome, 'target' | 'failed'>> {
  const { SALLYPORT_REALM: realm, SALLYPORT_BACKUP_KEEP: keep } = config;
  const keys = openKeksOfExports(serverCrypto(), keyFileOf(config));
  const recipients = config.SALLYPORT_BACKUP_RECIPIENTS.flatMap((file) =>
    parseRecipients(readNamedFile(file, RECIPIENT_FILE)),
  );
  if (recipients.length === 0) throw new Error('whose receipts count? set SALLYPORT_BACKUP_RECIPIENTS');
  const target = await openTarget(place);
  try {
    const worth = (name: string): Promise<ExportWorth> => worthOf(target, name, { realm, keys, recipients });
    const pruned = await pruneExports(target, { realm, rule: parseKeepRule(keep), now: Date.now(), worth, dryRun });
    return { words: wordsOf(pruned, dryRun), pruned };
  } finally {
    await target.close();
  }
}

function wordsOf({ keep, remove, removed, future }: Pruned, dryRun: boolean): string {
  const kept = [...keep].map(([name, reason]) => `\n  keep    ${name}  ${reason}`);
  const gone = (dryRun ? remove : removed).map((name) => `\n  ${dryRun ? 'would go' : 'removed'} ${name}`);
  const ahead = future.length > 0 ? `; ${future.length} have names of the future: a clock was wrong` : '';
  const list = dryRun ? [...gone, ...kept].join('') : gone.join('');
  return `keeps ${keep.size}, ${dryRun ? 'would remove' : 'removed'} ${dryRun ? remove.length : removed.length}${ahead}${list}`;
}

/** A place as the settings name it, or a folder by its path. */
function placeNamed(text: string): TargetPlace {
  return parseTargetPlace(/^(?:file|sftp|s3):/.test(text) ? text : pathToFileURL(resolve(text)).href);
}

async function outcomeOf(place: TargetPlace, verb: Verb): Promise<Outcome> {
  const { description: target } = place;
  try {
    return { target, failed: false, ...(await verb(place)) };
  } catch (error) {
    return { target, failed: true, words: `fails: ${(error as Error).message}` };
  }
}

async function carryOut(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      target: { type: 'string', multiple: true, default: [] },
      'dry-run': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const [verb = ''] = positionals;
  const config = readSettings(SETTINGS);
  const verbs: Readonly<Record<string, Verb>> = { init, prune: (place) => prune(place, config, values['dry-run']) };
  if (!verbs[verb]) return void process.stdout.write(HELP);
  const places = values.target.length > 0 ? values.target.map(placeNamed) : config.SALLYPORT_BACKUP_TARGETS;
  if (places.length === 0) throw new Error('there is no target: set SALLYPORT_BACKUP_TARGETS, or name one: --target');
  const outcomes = await Promise.all(places.map((place) => outcomeOf(place, verbs[verb]!)));
  process.stdout.write(values.json ? `${JSON.stringify(outcomes.map(jsonOf))}\n` : outcomes.map(lineOf).join(''));
  if (outcomes.some(({ failed }) => failed)) process.exitCode = 1;
}

function lineOf({ target, words }: Outcome): string {
  return `${target} ${words}\n`;
}

function jsonOf({ pruned, ...outcome }: Outcome): object {
  return { ...outcome, ...(pruned && { ...pruned, keep: Object.fromEntries(pruned.keep) }) };
}

endWithSallyport();
await carryOut().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
});
await endCommand();
