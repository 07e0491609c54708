import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpMapVersion } from '../realm/realm.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import type { RealmKey } from './realm-keys.ts';
import type { KeyRow } from './rows.ts';

/** Keys that last for years: the CA, what signs site maps, what signs assertions. */
export type LastingPurpose = 'ca' | 'root' | 'assertion';

/** A key that lasts, as anybody may see it. */
export type LastingKey = Extract<KeyRow, { readonly purpose: LastingPurpose }>;

/** What a key is for at the moment: it is learnt by all nodes, used, or still trusted while another one is used. */
export type LastingState = 'coming' | 'in use' | 'trusted';

/** A key with what it is for at the moment, without its secret. */
export type LastingKeyState = LastingKey & { readonly state: LastingState };

function isLasting(row: KeyRow): row is LastingKey {
  return row.purpose !== 'handshake';
}

/** The newest that every node has is used; the first one of a purpose needs nobody's word. */
function statesOf(rows: readonly LastingKey[]): LastingKeyState[] {
  const sorted = [...rows].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
  const used = sorted.find(({ publishedAt }) => publishedAt !== null) ?? sorted.at(-1);
  const at = used ? sorted.indexOf(used) : -1;
  return sorted.map((row, i) => ({
    ...row,
    secret: null,
    state: i < at ? 'coming' : i === at ? 'in use' : 'trusted',
  }));
}

async function readLasting({ tables }: Transaction): Promise<LastingKeyState[]> {
  const rows = (await tables.keys.list({ where: { retiredAt: null } })).filter(isLasting);
  return (['ca', 'root', 'assertion'] as const).flatMap((purpose) =>
    statesOf(rows.filter((row) => row.purpose === purpose)),
  );
}

/** The keys of the realm that last and count, the newest of each purpose first. */
export function listLastingKeys({ store }: AccessContext): Promise<LastingKeyState[]> {
  return store.transaction(readLasting);
}

/** Public parts of all root keys there ever were, the oldest first: each was named by the one before. */
export function listRootParts({ store }: AccessContext): Promise<readonly LastingKey['publicPart'][]> {
  return store.transaction(async ({ tables }) => {
    const rows = await tables.keys.list({ where: { purpose: 'root' } });
    return [...rows]
      .sort((a, b) => a.createdAt - b.createdAt)
      .map(({ publicPart }) => publicPart as LastingKey['publicPart']);
  });
}

/** The next key of a purpose, for the one that is in use; `id` is to be its own. */
export type MakeNextKey = (id: string) => Promise<RealmKey>;

/**
 * Begins to replace a key, or goes on: the next one is stored, and learnt by every node before it is used. The old one stays trusted
 * for a time. @throws AccessError ERR_ACCESS_CONFLICT while the one before is still trusted
 */
export async function beginKeyChange(
  access: AccessContext,
  purpose: LastingPurpose,
  { make, by }: { readonly make: MakeNextKey; readonly by: Actor },
): Promise<{ readonly id: string; readonly begun: boolean }> {
  const number = await access.store.transaction(({ tables }) => tables.keys.count({ where: { purpose } }));
  const key = await make(`${purpose}-${number + 1}`);
  const secret = access.keyring.wrap(key.secret, PURPOSES.key(access.store.realm, key.id));
  return change(access, by, async (begun) => {
    const own = (await readLasting(begun)).filter((row) => row.purpose === purpose);
    const coming = own.find(({ state }) => state === 'coming');
    if (coming) {
      begun.unchanged();
      return { id: coming.id, begun: false };
    }
    const old = own.find(({ state }) => state === 'trusted');
    if (old)
      throw new AccessError(
        'ERR_ACCESS_CONFLICT',
        `${old.id} is still trusted beside the one in use: replace that once it is retired`,
      );
    // Of two that are asked at once, one stores its key.
    await begun.tables.keys.insert({ ...key, secret, createdAt: begun.at, publishedAt: null, retiredAt: null });
    await bumpMapVersion(begun);
    begun.audit('key.replace', key.id);
    return { id: key.id, begun: true };
  });
}

/** By the purpose of a key, ms. */
export interface KeyChangeTimes {
  /** How long a next key is known, at least, before it is used: whoever verifies by it may look for keys now and then only. */
  readonly leadMs: Readonly<Record<LastingPurpose, number>>;
  /** How long an old key is trusted beside the one that is used. */
  readonly overlapMs: Readonly<Record<LastingPurpose, number>>;
}

/** What decides how a change of keys goes on. */
export interface KeyChangeDue {
  /** Keys that each node works with which may be answering somebody. */
  readonly known: readonly (readonly string[])[];
  readonly times: KeyChangeTimes;
}

type Step = { readonly id: string; readonly what: 'use' | 'retire' };

function stepsOf(keys: readonly LastingKeyState[], { known, times }: KeyChangeDue, now: number): Step[] {
  return keys.flatMap((key): Step[] => {
    const { id, state, purpose, createdAt } = key;
    const isKnown = now - createdAt >= times.leadMs[purpose] && known.every((ids) => ids.includes(id));
    if (state === 'coming' && isKnown) return [{ id, what: 'use' }];
    if (state !== 'trusted') return [];
    const used = keys.find((other) => other.purpose === purpose && other.state === 'in use');
    return now - (used?.publishedAt ?? now) > times.overlapMs[purpose] ? [{ id, what: 'retire' }] : [];
  });
}

/**
 * Takes a change of keys as far as it may go: one that every node has is used, one that was trusted for long enough is retired, and its
 * secret erased. Every step reads where things stand, so that any node goes on for one that was killed. True when something was done.
 */
export async function stepKeyChanges(access: AccessContext, view: KeyChangeDue): Promise<boolean> {
  const due = await access.store.transaction(async (transaction) =>
    stepsOf(await readLasting(transaction), view, transaction.now()),
  );
  if (due.length === 0) return false;
  const by = { actor: 'security', reason: 'a key of the realm is replaced' };
  return change(access, by, async (begun) => {
    const steps = stepsOf(await readLasting(begun), view, begun.at);
    if (steps.length === 0) {
      begun.unchanged();
      return false;
    }
    for (const { id, what } of steps) {
      const changed = what === 'use' ? { publishedAt: begun.at } : { retiredAt: begun.at, secret: null };
      await begun.tables.keys.update({ where: { id } }, changed);
      begun.audit(`key.${what}`, id);
    }
    await bumpMapVersion(begun);
    return true;
  });
}
