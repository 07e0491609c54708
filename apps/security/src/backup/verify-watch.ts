import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BackupTarget,
  checkReceipt,
  EXPORT_OBJECTS,
  listExports,
  objectPath,
  type Recipient,
  readObject,
} from '@sallyport/backup';
import { troubleOf } from './target-work.ts';

/** A target that is looked after. */
export interface WatchedTarget {
  readonly description: string;
  open(): Promise<BackupTarget>;
}

/** What is verified, by whom, and how often it is looked for something new. */
export interface VerifyWatch {
  readonly realm: string;
  readonly targets: readonly WatchedTarget[];
  /** The public half of the identity that verifies. */
  readonly recipient: Recipient;
  readonly pauseMs: number;
  /** Restores an export into a scratch database, and leaves its receipt at the target. */
  readonly verify: (target: BackupTarget, name: string) => Promise<unknown>;
  /** Hears what came of each, in a line. */
  readonly say: (line: string) => void;
}

/**
 * Verifies the newest backup of each target as it comes, one after the other, until `signal` says that it is enough. What fails is
 * said, and tried again at the next look: a newer one may have come by then.
 */
export async function watchExports(watch: VerifyWatch, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const target of watch.targets) if (!signal.aborted) await verifyNewest(watch, target);
    await sleep(watch.pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Verifies the newest one of a target unless it has our receipt; true when it was good. Never rejects. */
export async function verifyNewest(watch: VerifyWatch, { description, open }: WatchedTarget): Promise<boolean> {
  let target: BackupTarget | undefined;
  try {
    target = await open();
    const newest = (await listExports(target, watch.realm)).findLast(({ whole }) => whole);
    if (!newest || (await hasReceipt(target, newest.name, watch))) return newest !== undefined;
    await watch.verify(target, newest.name);
    watch.say(`${newest.name} at ${description} is verified`);
    return true;
  } catch (error) {
    const { code, words } = troubleOf(error);
    watch.say(`${description}: ${code}: ${words}`);
    return false;
  } finally {
    target?.close().catch(() => undefined);
  }
}

/** A receipt of somebody else, or a bad one, is no reason not to look. */
async function hasReceipt(target: BackupTarget, name: string, { realm, recipient }: VerifyWatch): Promise<boolean> {
  try {
    const manifest = await readObject(target, objectPath(realm, name, EXPORT_OBJECTS.manifest));
    const receipt = await readObject(target, objectPath(realm, name, EXPORT_OBJECTS.receipt));
    checkReceipt(receipt, { manifest, recipients: [recipient] });
    return true;
  } catch {
    return false;
  }
}
