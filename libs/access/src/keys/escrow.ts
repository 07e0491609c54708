import { formatHex } from '@sallyport/channel';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import type { Keyring } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { EscrowRow } from './rows.ts';

/** A set that was just made; it counts from now on. */
export type NewEscrow = Pick<EscrowRow, 'id' | 'threshold' | 'officers' | 'keks' | 'drillKey'>;

/** Puts a set on record; `replaces` ends all others, whose shares are to be destroyed. Gives those that it ended. */
export function recordEscrow(
  access: AccessContext,
  escrow: NewEscrow,
  { by, replaces }: { readonly by: Actor; readonly replaces: boolean },
): Promise<readonly string[]> {
  return change(access, by, async (begun) => {
    const { escrows } = begun.tables;
    const others = replaces ? await escrows.list({ where: { endedAt: null } }, 'update') : [];
    for (const { id } of others) {
      await escrows.update({ where: { id } }, { endedAt: begun.at });
      begun.audit('escrow.end', id);
    }
    const { id, threshold, officers, keks, drillKey } = escrow;
    await escrows.insert({
      ...{ id, threshold, officers, keks, drillKey },
      ...{ createdAt: begun.at, proofs: [], drilledAt: null, endedAt: null },
    });
    const names = officers.map(({ name }) => name).join(', ');
    begun.audit('escrow.create', `${id}: ${threshold} of ${names}, keys ${keks.map((kek) => kek.id).join(', ')}`);
    return others.map((row) => row.id);
  });
}

/** A proof that was checked: of one officer, or of several who opened the set together. */
export interface EscrowProven {
  readonly set: string;
  readonly officers: readonly string[];
  readonly drill: boolean;
  /** When it was made, by the clock of whoever made it, epoch ms. */
  readonly at: number;
}

/** A proof that is older counts for nothing, ms; clocks may be off by so much. */
const MAX_AGE_MS = 30 * 86_400_000;
const CLOCK_MS = 600_000;

/** Notes a proof whose signature was checked. @throws AccessError ERR_ACCESS_NOT_FOUND, ERR_ACCESS_INVALID for one of another time, or seen before */
export function noteEscrowProof(access: AccessContext, proven: EscrowProven, by: Actor): Promise<EscrowRow> {
  const { set, officers, drill, at } = proven;
  return change(access, by, async (begun) => {
    const row = await begun.tables.escrows.find({ id: set }, 'update');
    if (!row) throw unknownEscrow();
    if (at > begun.at + CLOCK_MS || at < begun.at - MAX_AGE_MS || at < row.createdAt - CLOCK_MS)
      throw new AccessError('ERR_ACCESS_INVALID', 'the receipt is of another time: it counts for 30 days');
    const lastOf = (name: string): number => row.proofs.find(({ officer }) => officer === name)?.at ?? 0;
    // Whoever has checked their share since has not opened the set together with others.
    if (drill ? (row.drilledAt ?? 0) >= at : officers.every((name) => lastOf(name) >= at))
      throw new AccessError('ERR_ACCESS_INVALID', 'this receipt was counted already, or a later one was');
    const others = row.proofs.filter(({ officer }) => !officers.includes(officer));
    const proofs = [...others, ...officers.map((officer) => ({ officer, at: Math.max(at, lastOf(officer)) }))];
    const changed = { proofs, drilledAt: drill ? at : row.drilledAt };
    await begun.tables.escrows.update({ where: { id: set } }, changed);
    begun.audit(drill ? 'escrow.drill' : 'escrow.check', `${set}: ${officers.join(', ')}`);
    return { ...row, ...changed };
  });
}

/** Ends a set: it counts no more, and its shares are to be destroyed. @throws AccessError ERR_ACCESS_NOT_FOUND */
export function endEscrow(access: AccessContext, id: string, by: Actor): Promise<boolean> {
  return change(access, by, async (begun) => {
    const row = await begun.tables.escrows.find({ id }, 'update');
    if (!row) throw unknownEscrow();
    if (row.endedAt !== null) {
      begun.unchanged();
      return false;
    }
    await begun.tables.escrows.update({ where: { id } }, { endedAt: begun.at });
    begun.audit('escrow.end', id);
    return true;
  });
}

function unknownEscrow(): AccessError {
  return new AccessError('ERR_ACCESS_NOT_FOUND', 'Security knows no escrow of this number');
}

/** All sets, the newest first: they are few. */
export async function listEscrows({ store }: AccessContext): Promise<EscrowRow[]> {
  const rows = await store.transaction(({ tables }) => tables.escrows.list());
  return [...rows].sort((a, b) => b.createdAt - a.createdAt);
}

/** True for a set that counts, and from which the key comes that wraps now. */
export function fitsKeyring({ keks, endedAt }: EscrowRow, keyring: Keyring): boolean {
  const check = keyring.checkValue(keyring.current);
  return (
    endedAt === null && keks.some((kek) => kek.id === keyring.current && kek.check === (check && formatHex(check)))
  );
}
