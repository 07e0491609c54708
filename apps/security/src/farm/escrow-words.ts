import { type AccessContext, fitsKeyring, listEscrows } from '@sallyport/access';

/** An escrow that nobody has opened for longer is no escrow, ms. */
const DRILL_MS = 366 * 86_400_000;

/**
 * Whether the keys can be lost with the machines that have them, in words. Who has a database of its own runs a production; on one
 * machine an escrow is missed only where there was one.
 */
export async function escrowWords(
  access: AccessContext,
  { external, now }: { readonly external: boolean; readonly now: number },
): Promise<string[]> {
  const counting = (await listEscrows(access)).filter(({ endedAt }) => endedAt === null);
  if (counting.length === 0 && !external) return [];
  const fitting = counting.find((row) => fitsKeyring(row, access.keyring));
  if (!fitting)
    return [
      `key-encryption key ${access.keyring.current} is in no escrow: should every kek.json be lost, database and backups open no more (sallyport escrow create)`,
    ];
  const { id, createdAt, drilledAt } = fitting;
  if (now - (drilledAt ?? createdAt) < DRILL_MS) return [];
  return [`nobody has opened escrow ${id} for more than a year: does it open? (sallyport escrow drill)`];
}
