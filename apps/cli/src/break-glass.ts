import { CliError } from './output.ts';
import type { GlobalOptions } from './program.ts';
import { runOnSecurityHost } from './security-host.ts';

/** Runs the program that makes a one-time token from the key file and the database of this host. */
export async function breakGlass(globals: GlobalOptions, name: string): Promise<void> {
  const { reason } = globals;
  if (!reason) throw new CliError('why? breaking the glass needs a reason', 'add: --reason "all credentials ran out"');
  const environment = { SALLYPORT_REASON: reason, SALLYPORT_NAME: name };
  if (await runOnSecurityHost(globals, { name: 'break-glass', environment })) return;
  throw new CliError('no token was made', 'run it where Security runs, with the settings that it has');
}
