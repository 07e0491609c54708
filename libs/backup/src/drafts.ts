/** Where objects are written before they have their name. No path of a target leads there. */
export const DRAFTS = '.drafts';

/**
 * A draft that nobody has written to for so long was left by a process that ended, ms. A target is silent for a minute at most before
 * nobody waits for it any more; of backups every five minutes, each one killed, a dozen drafts are there at a time.
 */
const DRAFT_LIVES_MS = 3_600_000;

/** Whether a draft was left there. Both times are of the target's own clock, which may be another one than ours, epoch ms. */
export function isLeft(writtenAt: number, now: number): boolean {
  return now - writtenAt > DRAFT_LIVES_MS;
}
