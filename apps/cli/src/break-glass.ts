import { CliError } from './output.ts';
import type { GlobalOptions } from './program.ts';
import { saidReason } from './reason.ts';
import { runOnSecurityHost } from './security-host.ts';

/** Runs the program that makes a one-time token from the key file and the database of this host. */
export async function breakGlass(globals: GlobalOptions, name: string): Promise<void> {
  const reason = saidReason(globals.reason, 'why? breaking the glass needs a reason', 'all credentials ran out');
  const environment = { SALLYPORT_REASON: reason, SALLYPORT_NAME: name };
  if (await runOnSecurityHost(globals, { name: 'break-glass', environment })) return;
  throw new CliError('no token was made', 'run it where Security runs, with the settings that it has');
}
