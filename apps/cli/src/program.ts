import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { certificates, operators } from '@sallyport/security-api/admin';
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

function blocksOf(pem: string): string[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []).map((one) =>
    one.replace(/\s/g, ''),
  );
}

/** Another CA of the gateway counts by now: it is kept, so that the API is known by it when the one before is retired. */
async function keepAuthorities(admin: AdminClient, file: string): Promise<void> {
  const profile = loadProfile(file);
  const mark = createHash('sha256').update(profile.ca).digest('hex');
  if (admin.authorities === undefined || admin.authorities === mark) return;
  try {
    const { authorities } = await admin.call(certificates.authorities);
    // Who knows the API by another CA, that of a balancer, goes on with that one.
    const known = new Set(blocksOf(profile.ca));
    if (blocksOf(authorities).some((pem) => known.has(pem))) storePrivate(file, { ...profile, ca: authorities });
  } catch (error) {
    warn`the gateway has another CA, which could not be read: ${(error as Error).message}\n`;
  }
}

/** Runs work with the admin client of the stored profile. */
export async function withAdmin<T>(globals: GlobalOptions, work: (admin: AdminClient) => Promise<T>): Promise<T> {
  const profile = loadProfile(profileFile(globals));
  const admin = adminOf(profile);
  try {
    const done = await work(admin);
    await keepCredential(admin, profile, profileFile(globals));
    await keepAuthorities(admin, profileFile(globals));
    return done;
  } finally {
    await admin.close();
  }
}
