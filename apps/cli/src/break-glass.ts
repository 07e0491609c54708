import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from './output.ts';
import type { GlobalOptions } from './program.ts';

const PROGRAM = fileURLToPath(new URL('../../security/src/break-glass.ts', import.meta.url));

/** Runs the program that makes a one-time token from the key file and the database of this host. */
export async function breakGlass(globals: GlobalOptions, name: string): Promise<void> {
  const { reason, data } = globals;
  if (!reason) throw new CliError('why? breaking the glass needs a reason', 'add: --reason "all credentials ran out"');
  const environment = { SALLYPORT_DATA: resolve(data), ...process.env, SALLYPORT_REASON: reason, SALLYPORT_NAME: name };
  const child = spawn(process.execPath, [PROGRAM], { env: environment, stdio: 'inherit' });
  const code = await new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  if (code !== 0) throw new CliError('no token was made', 'run it where Security runs, with the settings that it has');
}
