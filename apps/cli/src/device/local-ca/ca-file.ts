import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { replacePrivateFile } from '@sallyport/settings';
import { CliError } from '../../output.ts';
import type { GlobalOptions } from '../../program.ts';
import { createCa, type StoredCa } from './local-ca.ts';
import { hostOfAuthority, isPermitted, type PermittedNames, permittedFor } from './permitted-names.ts';

/** File with the key and certificate of this machine's CA. */
export function caFile({ data }: GlobalOptions): string {
  return join(data, 'cli', 'local-ca.json');
}

/** Reads the CA; undefined before there is one. @throws CliError for a file that others may read, or that is none */
export function loadCa(file: string): StoredCa | undefined {
  if (!existsSync(file)) return undefined;
  if ((statSync(file).mode & 0o077) !== 0)
    throw new CliError(
      `others can read the key of this machine's CA in ${file}`,
      'make a new one: sallyport device trust --new',
    );
  const stored = parseCa(readFileSync(file, 'utf8'));
  if (!stored) throw new CliError(`${file} holds no CA`, 'make a new one: sallyport device trust --new');
  return stored;
}

function parseCa(text: string): StoredCa | undefined {
  try {
    const stored = JSON.parse(text) as StoredCa;
    const { id, certificate, key, permitted, endsAt } = stored;
    const texts = [id, certificate, key].every((part) => typeof part === 'string');
    const names = Array.isArray(permitted?.domains) && Array.isArray(permitted.addresses);
    return texts && names && typeof endsAt === 'number' ? stored : undefined;
  } catch {
    return undefined;
  }
}

/** Makes a CA for these authorities in place of the one there is, durably. */
export async function replaceCa(file: string, authorities: readonly string[], now: number): Promise<StoredCa> {
  const stored = await createCa(permittedFor(authorities), now);
  replacePrivateFile(file, `${JSON.stringify(stored, null, 2)}\n`);
  return stored;
}

/** Forgets the CA: nobody can sign with it any more. */
export function removeCa(file: string): void {
  rmSync(file, { force: true });
}

/** A CA is replaced when it ends in less, ms. */
const RENEW_BEFORE_MS = 30 * 86_400_000;

/** True when a CA ends soon or does not cover all of these authorities. */
export function needsNewCa({ endsAt, permitted }: StoredCa, authorities: readonly string[], now: number): boolean {
  return endsAt - now < RENEW_BEFORE_MS || uncovered(authorities, permitted).length > 0;
}

/** Authorities that a CA does not cover. */
export function uncovered(authorities: readonly string[], permitted: PermittedNames): readonly string[] {
  return authorities.filter((authority) => !isPermitted(hostOfAuthority(authority).replace(/^\*\./, ''), permitted));
}
