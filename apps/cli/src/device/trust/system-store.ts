import { existsSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../../output.ts';
import type { RunProgram } from './run-program.ts';
import type { TrustStore } from './store.ts';

/** How systems take CAs of their own: into which folder, and what makes their list anew after one came or went. */
const SYSTEMS = [
  {
    folder: '/usr/local/share/ca-certificates',
    added: ['update-ca-certificates'],
    removed: ['update-ca-certificates', '--fresh'],
  },
  { folder: '/etc/pki/ca-trust/source/anchors', added: ['update-ca-trust'], removed: ['update-ca-trust'] },
] as const;

/** Who asks, and what may be run. */
export interface SystemHost {
  readonly run: RunProgram;
  readonly isRoot: boolean;
  /** Somebody sits at a terminal and can be asked for a password by sudo. */
  readonly hasTerminal: boolean;
}

/** The list of CAs that curl, git, Python and most programs use; undefined where the system has none that is known here. */
export function systemStore(host: SystemHost): TrustStore | undefined {
  const system = SYSTEMS.find(({ folder }) => existsSync(folder));
  if (!system) return undefined;
  const { folder, added, removed } = system;
  return {
    place: `system, ${folder}`,
    add: ({ name, certificate }) => {
      const file = fileOf(folder, name);
      const byHand = `sallyport device ca | sudo tee ${file} && sudo ${added.join(' ')}`;
      asRoot(host, ['tee', file], byHand, `${certificate.trim()}\n`);
      asRoot(host, ['chmod', '644', file], byHand);
      asRoot(host, added, byHand);
    },
    remove: (name) => {
      const file = fileOf(folder, name);
      if (!existsSync(file) && !isListed(name)) return;
      const byHand = `sudo rm -f ${file} && sudo ${removed.join(' ')}`;
      asRoot(host, ['rm', '-f', file], byHand);
      asRoot(host, removed, byHand);
    },
  };
}

function fileOf(folder: string, name: string): string {
  return join(folder, `${plainName(name)}.crt`);
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}

/** True when Debian's list still has it: an earlier try got no further than the file. */
function isListed(name: string): boolean {
  return lstatSync(`/etc/ssl/certs/${plainName(name)}.pem`, { throwIfNoEntry: false }) !== undefined;
}

function asRoot(host: SystemHost, command: readonly string[], byHand: string, input?: string): void {
  const [program = '', ...args] = command;
  const end = host.isRoot
    ? host.run(program, args, input)
    : host.hasTerminal
      ? host.run('sudo', [...command], input)
      : undefined;
  if (!end) throw new CliError('the list of the system is for root to change', byHand);
  if (!end.ok) throw new CliError(`${program} failed: ${end.output.split('\n').at(-1)}`, byHand);
}
