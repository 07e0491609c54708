import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Command } from 'commander';
import { AdminClient } from './admin-client.ts';
import { loadProfile } from './profile.ts';

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

/** Runs work with the admin client of the stored profile. */
export async function withAdmin<T>(globals: GlobalOptions, work: (admin: AdminClient) => Promise<T>): Promise<T> {
  const admin = new AdminClient(loadProfile(profileFile(globals)));
  try {
    return await work(admin);
  } finally {
    await admin.close();
  }
}

/** The reason for the audit log: what the operator gave, or that it is routine work by this command. */
export function reasonOf(globals: GlobalOptions, command: string): string {
  return globals.reason ?? `routine: sallyport ${command}`;
}

/** A new id for a request that may be repeated. */
export function requestId(): string {
  return randomUUID();
}
