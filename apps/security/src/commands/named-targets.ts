import { resolve } from 'node:path';
import { type BackupTarget, parseTargetPlace, placeOfFolder } from '@sallyport/backup';

/** A target that somebody named, to be opened. */
export interface NamedTarget {
  readonly description: string;
  open(): Promise<BackupTarget>;
}

/** A place as the settings name it, or a folder by its path. */
export function targetNamed(text: string): NamedTarget {
  return /^(?:file|sftp|s3):/.test(text) ? parseTargetPlace(text) : placeOfFolder(resolve(text));
}

/** Works at a target. @throws TargetError; whatever `work` throws */
async function workAt<T>(target: NamedTarget, work: (opened: BackupTarget) => Promise<T>): Promise<T> {
  const opened = await target.open();
  try {
    return await work(opened);
  } finally {
    // Whether it takes leave or not: whatever counts is durable.
    opened.close().catch(() => undefined);
  }
}

/** What a target did not do is said, and keeps no other one from its work. */
export interface TargetOutcome {
  readonly target: string;
  /** Empty when it did its work. */
  readonly fault: string;
}

/** Works at each target, one after the other; gives what was wrong with each. */
export async function workAtEach(
  targets: readonly NamedTarget[],
  work: (opened: BackupTarget, target: NamedTarget) => Promise<unknown>,
): Promise<readonly TargetOutcome[]> {
  const outcomes: TargetOutcome[] = [];
  for (const target of targets) {
    const fault = await workAt(target, (opened) => work(opened, target)).then(() => '', codedWords);
    outcomes.push({ target: target.description, fault });
  }
  return outcomes;
}

/** @throws Error with the fault of each when there is none that did its work */
export function assertOneWorked(outcomes: readonly TargetOutcome[]): void {
  if (outcomes.some(({ fault }) => fault === '')) return;
  const named = outcomes.map(({ target, fault }) => (outcomes.length === 1 ? fault : `${target}: ${fault}`));
  throw new Error(named.join('\n'));
}

/** The words of an error, behind its code. */
export function codedWords(error: unknown): string {
  const { code, message } = error as { readonly code?: string; readonly message: string };
  return code?.startsWith('ERR_') ? `${code}: ${message}` : message;
}
