import { join } from 'node:path';
import { operators } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { adminOf } from './admin.ts';
import { formatTime } from './output.ts';
import { loadProfile, type OperatorProfile, storePrivate } from './profile.ts';
import { warn } from './terminal.ts';

/** Options that every command has. */
export interface GlobalOptions {
  readonly data: string;
  readonly json: boolean;
  readonly reason?: string;
}

/** Options of the whole program, from any of its commands. */
export function globalsOf(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>();
}

/** File of the operator's profile. */
export function profileFile({ data }: GlobalOptions): string {
  return join(data, 'cli', 'operator.json');
}

/** A credential is renewed when it ends in less, ms. */
const RENEW_BEFORE_MS = 10 * 86_400_000;

/** Puts a new credential into the profile. */
export async function renewCredential(admin: AdminClient, profile: OperatorProfile, file: string): Promise<number> {
  const { name, token, expiresAt } = await admin.call(operators.renew);
  storePrivate(file, { ...profile, name, token, expiresAt });
  return expiresAt;
}

/** A credential in use never ends unnoticed: it is renewed in time, or the operator is told. */
export async function keepCredential(admin: AdminClient, profile: OperatorProfile, file: string): Promise<void> {
  const { expiresAt } = profile;
  if (expiresAt === undefined || profile.provider !== undefined || expiresAt - Date.now() > RENEW_BEFORE_MS) return;
  await renewCredential(admin, profile, file).catch(
    (error: Error) =>
      warn`your operator credential ends at ${formatTime(expiresAt)} and could not be renewed: ${error.message}\n`,
  );
}

/** Runs work with the admin client of the stored profile. */
export async function withAdmin<T>(globals: GlobalOptions, work: (admin: AdminClient) => Promise<T>): Promise<T> {
  const profile = loadProfile(profileFile(globals));
  const admin = adminOf(profile);
  try {
    const done = await work(admin);
    await keepCredential(admin, profile, profileFile(globals));
    return done;
  } finally {
    await admin.close();
  }
}
