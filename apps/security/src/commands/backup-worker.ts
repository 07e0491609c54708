import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseKeepRule, parseRecipients, type Recipient, type SealedExport } from '@sallyport/backup';
import { serverCrypto } from '@sallyport/channel/sodium';
import { endProcess, readSettings } from '@sallyport/settings';
import { makeExport, openSpool } from '../backup/make-export.ts';
import { backupTargetsOf } from '../backup/setup.ts';
import { troubleOf, workAtTarget } from '../backup/target-work.ts';
import type { BackupWord, WorkerOrder } from '../backup/worker-process.ts';
import { type Config, SETTINGS } from '../config.ts';
import { keyFileOf, openKeksOfExports } from '../keys/kek.ts';
import { addressOfDatabase } from '../stores/database.ts';

/** Between two words that it goes on, ms. */
const ALIVE_MS = 1_000;

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/**
 * What a Security node starts for each slot of its schedule (`backup/worker-process.ts`): makes one export, puts it at every target
 * that it is told, looks at each and prunes it, all targets at a time. It knows nothing of turns: what it leaves half done when it is
 * ended, the next one makes up for.
 */
async function carryOut(order: WorkerOrder): Promise<void> {
  const config = readSettings(SETTINGS);
  const recipients = readRecipients(config);
  const keyring = openKeksOfExports(serverCrypto(), keyFileOf(config));
  const targets = new Map(backupTargetsOf(config).map((target) => [target.description, target]));
  let sealing: Promise<SealedExport> | undefined;
  const seal = (): Promise<SealedExport> => {
    sealing ??= sealOnce(config, recipients, keyring);
    return sealing;
  };
  await Promise.all(
    order.map(async ({ place, work, expected }) => {
      const task = {
        realm: config.SALLYPORT_REALM,
        keys: keyring,
        recipients,
        wallMs: Date.now,
        alive: tellAlive,
        expected,
      };
      const found = await workAtTarget({
        ...task,
        open: () => targets.get(place)!.open(),
        seal: work === 'export' ? seal : undefined,
        rule: parseKeepRule(config.SALLYPORT_BACKUP_KEEP),
      });
      await say({ place, found });
    }),
  );
}

async function sealOnce(
  config: Config,
  recipients: readonly Recipient[],
  keys: Parameters<typeof makeExport>[0]['keys'],
): Promise<SealedExport> {
  const spool = await openSpool(join(config.SALLYPORT_DATA, 'security', 'backup'));
  return makeExport({
    address: addressOfDatabase(config),
    replicated: config.SALLYPORT_DATABASE_HOSTS.length > 0,
    realm: config.SALLYPORT_REALM,
    product: version,
    recipients: recipients.map(({ age }) => age),
    keys,
    spool: { read: () => spool.read(), write: (content) => spool.write(heard(content)) },
  });
}

/** A database that gives little by little is at work, too. */
async function* heard(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const piece of content) {
    tellAlive();
    yield piece;
  }
}

function readRecipients({ SALLYPORT_BACKUP_RECIPIENTS: files }: Config): readonly Recipient[] {
  return files.flatMap((file) => parseRecipients(readFileSync(file, 'utf8')));
}

let saidAt = Number.NEGATIVE_INFINITY;

function tellAlive(): void {
  if (performance.now() - saidAt < ALIVE_MS) return;
  saidAt = performance.now();
  void say({ alive: true });
}

/** A node that is gone hears nothing, and this process ends by that. */
function say(word: BackupWord): Promise<void> {
  return new Promise((resolve) => {
    if (process.send) process.send(word, undefined, undefined, () => resolve());
    else resolve();
  });
}

// At once, also when a system call of it hangs, for which `process.exit` would wait.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
const order = JSON.parse(process.argv[2] ?? '[]') as WorkerOrder;
try {
  await carryOut(order);
} catch (error) {
  for (const { place } of order) await say({ place, found: { trouble: troubleOf(error) } });
}
await endProcess();
