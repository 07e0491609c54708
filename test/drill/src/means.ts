import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@sallyport/support';
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
  /** Settings of Security that it needs. */
  settings(folder: string): Record<string, string>;
  /** Takes a backup now. */
  backUp(site: Site): Promise<void>;
  /** Brings the realm back on the machine that the site has now, up to where Security can be started. */
  restore(site: Site): Promise<void>;
}

/** Where everything is that does not burn. */
function safeOf(site: Site): string {
  return join(site.folder, 'safe');
}

/** A copy of the data folder while Security stands still, and a new epoch. */
export const COPY: Means = {
  name: 'copy of the stopped data folder',
  promised: { lost: 300, back: 900 },
  settings: (folder) => ({ SALLYPORT_JOURNAL: `file:${join(folder, 'safe', 'journal')}` }),
  async backUp(site) {
    await site.stopSecurity();
    mkdirSync(safeOf(site), { recursive: true });
    execFileSync('cp', ['-a', join(site.data, 'database'), join(safeOf(site), 'database')]);
    mkdirSync(join(safeOf(site), 'keys'));
    for (const file of ['kek.json', 'database-password'])
      cpSync(join(site.data, 'security', file), join(safeOf(site), 'keys', file));
    await site.startSecurity();
  },
  async restore(site) {
    execFileSync('cp', ['-a', join(safeOf(site), 'database'), join(site.data, 'database')]);
    cpSync(join(safeOf(site), 'keys'), join(site.data, 'security'), { recursive: true });
    await sallyportOn(site, '--reason', 'drill', 'realm', 'new-epoch', '--old-database-is-off');
  },
};

/** Runs a command of the operator on the site's machine, with the settings of its Security server. @throws Error with what it said */
async function sallyportOn(site: Site, ...args: readonly string[]): Promise<string> {
  const environment = { ...site.settings, SALLYPORT_DATA: site.data };
  const command = ['npm', 'run', '--silent', 'sallyport', '--', ...args];
  const { code, stdout, stderr } = await runCommand('nsenter', [`--net=/run/netns/${site.host.name}`, ...command], {
    environment,
  });
  if (code !== 0) throw new Error(`sallyport ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}
