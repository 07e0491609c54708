import type { Device } from '@sallyport/device';
import type { GlobalOptions } from '../../program.ts';
import { warn } from '../../terminal.ts';
import { caFile, loadCa, needsNewCa, replaceCa, uncovered } from '../local-ca/ca-file.ts';
import { authoritiesOf, trustedFile } from './commands.ts';
import { Trusted } from './trusted.ts';

/**
 * Keeps a CA for the HTTP resources of a device while it runs. One that nobody trusts yet is replaced whenever it does not do; one that
 * stands in stores is left to the user, who is told what to do.
 */
export async function keepLocalCa(globals: GlobalOptions, device: Device): Promise<void> {
  await lookAt(globals, authoritiesOf(device));
  device.on('resources', () => {
    lookAt(globals, authoritiesOf(device)).catch((error: Error) => warn`${error.message}\n`);
  });
}

async function lookAt(globals: GlobalOptions, authorities: readonly string[]): Promise<void> {
  if (authorities.length === 0) return;
  const file = caFile(globals);
  const stored = loadCa(file);
  if (stored && !needsNewCa(stored, authorities, Date.now())) return;
  if (!stored || new Trusted(trustedFile(globals)).entries.length === 0) {
    await replaceCa(file, authorities, Date.now());
    if (stored)
      warn`https: this machine has a new CA for its resources; where you put the one before by hand, put this: sallyport device ca\n`;
    return;
  }
  const missing = uncovered(authorities, stored.permitted);
  const why = missing.length > 0 ? `does not cover ${missing.join(', ')}` : 'ends soon';
  warn`https: the CA of this machine ${why}; make a new one: sallyport device trust\n`;
}
