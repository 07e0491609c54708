import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { privateFolder, serverUser } from '@sallyport/local-cluster';
import { makeUntilSignals } from '@sallyport/settings';
import { CliError } from '../../output.ts';
import type { GlobalOptions } from '../../program.ts';
import { askSecurityHost } from '../../security-host.ts';
import { fetchFiles, type RestoreOrder, withRestored } from './restore.ts';

/** A realm in what was restored, and where its logs end. */
export interface ArchivedRealm {
  readonly realm: string;
  readonly epoch: string;
  readonly log: { readonly head: number; readonly hash: string };
  readonly audit: { readonly seq: number; readonly hash: string };
}

/** What was looked at. */
export interface VerifiedArchive {
  readonly newest: string | undefined;
  readonly realms: readonly ArchivedRealm[];
  readonly tookMs: number;
}

/** What a program that was just ended still writes is waited for. */
const LEFT = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 } as const;

type VerifyOrder = Pick<RestoreOrder, 'folder' | 'database' | 'superuser'> & { readonly scratch: string | undefined };

/**
 * Restores the newest state into a scratch folder, replays the archived WAL on a private socket, looks whether both logs of each realm
 * hold together, and removes all of it. The repository stays as it is.
 * @throws CliError that says what is wrong
 */
export async function verifyArchive(globals: GlobalOptions, order: VerifyOrder): Promise<VerifiedArchive> {
  const startedAt = performance.now();
  const make = (): string => mkdtempSync(join(resolve(order.scratch ?? tmpdir()), 'sallyport-archive-'));
  // A whole database in the clear is nobody's leftover.
  const remove = async (made: string): Promise<void> => rmSync(made, LEFT);
  const { made: scratch, forget } = makeUntilSignals(make, remove);
  try {
    privateFolder(scratch, serverUser());
    const restore: RestoreOrder = { ...order, to: join(scratch, 'database'), before: undefined };
    await fetchFiles(restore);
    const { newest, done } = await withRestored(restore, ({ socket }) => lookAt(globals, { ...order, socket }));
    return { newest, realms: done, tookMs: performance.now() - startedAt };
  } finally {
    await remove(scratch);
    forget();
  }
}

async function lookAt(
  globals: GlobalOptions,
  { socket, superuser, database }: Pick<VerifyOrder, 'superuser' | 'database'> & { readonly socket: string },
): Promise<readonly ArchivedRealm[]> {
  const order = ['--socket', socket, '--user', superuser, '--database', database];
  const answer = await askSecurityHost(globals, { name: 'archive-command', order });
  const found = JSON.parse(answer) as (ArchivedRealm & { readonly fault: string })[];
  if (found.length === 0)
    throw new CliError('there is no realm in what was restored', 'its database is called otherwise? --database NAME');
  for (const { realm, fault } of found) if (fault !== '') throw new CliError(`realm ${realm} is not sound: ${fault}`);
  return found.map(({ realm, epoch, log, audit }) => ({ realm, epoch, log, audit }));
}
