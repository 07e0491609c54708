import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatIdentity, formatRecipient, makeIdentity, timeOfName } from '@sallyport/backup';
import { CLI, runCommand, waitFor } from '@sallyport/support';
import type { Site } from './site.ts';

/** What a way of keeping a realm promises, in seconds. */
export interface Promised {
  /** How old what is lost may be. */
  readonly lost: number;
  /** How long it may take until everybody works again, the install counted. */
  readonly back: number;
}

/** A way of keeping a realm somewhere else, and of getting it back. */
export interface Means {
  readonly name: string;
  readonly promised: Promised;
  /** Makes what does not burn in a folder, before Security is started; gives the settings that Security needs. */
  prepare(folder: string, everyMs: number): Promise<Record<string, string>>;
  /** Waits until everything of this moment is kept; gives how long keeping took, ms. */
  keep(site: Site): Promise<number>;
  /** Brings the realm back on the machine that the site has now, up to where Security can be started; gives what was said. */
  restore(site: Site): Promise<string>;
}

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

/** Where everything is that does not burn. */
function safeOf(folder: string): {
  exports: string;
  identity: string;
  recipient: string;
  journal: string;
  keys: string;
} {
  const at = (name: string): string => join(folder, 'safe', name);
  return {
    exports: at('exports'),
    identity: at('identity'),
    recipient: at('recipient'),
    journal: at('journal'),
    keys: at('kek.json'),
  };
}

/** Exports by the schedule of the nodes, to a folder that does not burn; restored by the command in the export's README. */
export const EXPORT: Means = {
  name: 'export',
  promised: { lost: 300, back: 900 },
  async prepare(folder, everyMs) {
    const safe = safeOf(folder);
    mkdirSync(safe.exports, { recursive: true });
    const identity = await makeIdentity('drill');
    writeFileSync(safe.identity, formatIdentity(identity), { mode: 0o600 });
    writeFileSync(safe.recipient, formatRecipient(identity.recipient));
    const settings = {
      SALLYPORT_JOURNAL: `file:${safe.journal}`,
      SALLYPORT_BACKUP_TARGETS: `file:${safe.exports}`,
      SALLYPORT_BACKUP_RECIPIENTS: safe.recipient,
      SALLYPORT_BACKUP_EVERY_MS: String(everyMs),
    };
    await runOrThrow([process.execPath, CLI, 'backup', 'target', 'init'], { ...settings, SALLYPORT_DATA: folder });
    return settings;
  },
  async keep(site) {
    const { exports, keys } = safeOf(site.folder);
    cpSync(join(site.data, 'security', 'kek.json'), keys);
    const now = Date.now();
    const newest = (): ExportMade | undefined => madeIn(exports).findLast(({ takenAt }) => takenAt >= now - 1_000);
    await waitFor(
      () => newest() !== undefined,
      'an export of this moment',
      () => '',
      KEEP_WITHIN_MS,
    );
    return newest()!.doneAt - newest()!.takenAt;
  },
  async restore(site) {
    const { exports, identity, keys } = safeOf(site.folder);
    const readme = readFileSync(join(madeIn(exports).at(-1)!.folder, 'README.txt'), 'utf8');
    const [command] = /npm run sallyport -- backup restore .*/.exec(readme)!;
    const places = command.replace('FOLDER', exports).replace('FILE', identity).replace('KEK.JSON', keys);
    const line = `${places.replace('"why"', '"the site burned"')} --yes`;
    const onHost = ['nsenter', `--net=/run/netns/${site.host.name}`, 'bash', '-c', line];
    return runOrThrow(onHost, { ...site.settings, SALLYPORT_DATA: site.data });
  },
};

/** How long an export may take at most, from its schedule on, ms. */
const KEEP_WITHIN_MS = 1_800_000;

/** Exports that a drill's folder keeps, oldest first. */
export function exportsIn(folder: string): readonly ExportMade[] {
  return madeIn(safeOf(folder).exports);
}

/** An export that is whole: where it is, and of when; epoch ms. */
export interface ExportMade {
  readonly folder: string;
  readonly takenAt: number;
  readonly doneAt: number;
}

/** Exports that are whole, oldest first. */
function madeIn(target: string): readonly ExportMade[] {
  const realm = join(target, 'main');
  if (!existsSync(realm)) return [];
  return readdirSync(realm)
    .sort()
    .flatMap((name) => {
      const takenAt = timeOfName(name);
      const manifest = join(realm, name, 'manifest.json');
      if (takenAt === undefined || !existsSync(manifest)) return [];
      return [{ folder: join(realm, name), takenAt, doneAt: statSync(manifest).mtimeMs }];
    });
}

async function runOrThrow(command: readonly string[], environment: Record<string, string>): Promise<string> {
  const [program, ...args] = command;
  const { code, stdout, stderr } = await runCommand(program!, args, { environment, cwd: PROJECT });
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}
