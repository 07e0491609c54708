import { type CryptoProvider, formatHex } from '@sallyport/channel';
import { loadRealmKeys } from '../keys/realm-keys.ts';
import { auditStart, verifyAudit } from '../realm/audit.ts';
import type { AccessContext } from '../realm/context.ts';
import { checkAuditStart } from '../realm/retention.ts';
import type { RealmStore } from '../store/store.ts';
import { faultOfLog } from './check-log.ts';

/** Where a realm was when it was exported, as its manifest says. */
export interface RealmHeads {
  readonly epoch: string;
  readonly log: { readonly head: number; readonly hash: string };
  /** The hash in hex. */
  readonly audit: { readonly seq: number; readonly hash: string };
}

/** Where a realm is by its own word. Give it the bare store. */
export function readHeads(store: RealmStore): Promise<RealmHeads> {
  return store.transaction(async ({ tables }) => {
    const row = await tables.realms.find({ id: 'realm' });
    const end = await tables.auditHeads.find({ id: 'head' });
    return {
      epoch: row?.epoch ?? '',
      log: { head: row?.head ?? 0, hash: row?.headHash ?? '' },
      audit: { seq: end?.seq ?? 0, hash: end ? formatHex(end.hash) : '' },
    };
  });
}

/**
 * Looks whether a realm that was restored, and that nobody uses, holds together: it is where its manifest says, and both logs fit
 * their heads. Give it the bare store. Gives what does not fit, in words.
 */
export async function faultOfRestored(
  store: RealmStore,
  crypto: CryptoProvider,
  { epoch, log, audit }: RealmHeads,
): Promise<string | undefined> {
  const fault = await store.transaction(async (transaction) => {
    const realm = await transaction.tables.realms.find({ id: 'realm' });
    const head = await transaction.tables.auditHeads.find({ id: 'head' });
    if (realm?.epoch !== epoch || realm.head !== log.head || realm.headHash !== log.hash)
      return 'epoch or head of the revocation log are not those of the manifest';
    if (head?.seq !== audit.seq || formatHex(head.hash) !== audit.hash)
      return 'the head of the audit log is not that of the manifest';
    return faultOfLog(transaction, crypto);
  });
  return fault ?? wordsOfFault(() => store.transaction((transaction) => verifyAudit(transaction, crypto)));
}

/** Looks whether what is wrapped in a restored realm opens with its keys. Gives what does not, in words. */
export function faultOfKeys(access: AccessContext): Promise<string | undefined> {
  return wordsOfFault(async () => {
    checkAuditStart(access, await access.store.transaction(auditStart));
    await loadRealmKeys(access, 'ca');
  });
}

async function wordsOfFault(check: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    const { code = '', message } = error as { readonly code?: string; readonly message: string };
    if (!code.startsWith('ERR_ACCESS_')) throw error;
    return message;
  }
}
