import { type CodeKey, deriveCodeKey, encodeText, keyOf } from '@sallyport/channel';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { formatTypable } from '../realm/ids.ts';
import { getRealm, settingsOf } from '../realm/realm.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import type { CodeRow, UserRow } from './rows.ts';

/** Wrong passwords by somebody who has the code, after which it is dead. A wrong secret costs nothing: it is 80 bits. */
const CODE_TRIES = 5;
/** An id is `random(5) | mark(3)`, in characters of 5 bits. */
const ID_RANDOM_LENGTH = 5;
const ID_MARK_LENGTH = 3;
const SECRET_LENGTH = 16;

/** A new activation code: `id-secret`. The store has a key that its secret stands for, wrapped. */
export interface IssuedCode {
  readonly id: string;
  readonly code: string;
  readonly expiresAt: number;
}

/** Issues a single-use code with which one user may enrol one installation (80 bits of secret). */
export async function issueCode(
  access: AccessContext,
  userName: string,
  ttlMs: number | undefined,
  by: Actor,
): Promise<IssuedCode> {
  const secret = formatTypable(access.crypto.randomBytes(SECRET_LENGTH), SECRET_LENGTH);
  return change(access, by, async (begun) => {
    // The share lock keeps a change of the user from slipping in between: it would not see this code.
    const user = await begun.tables.users.find({ name: userName }, 'share');
    if (!user?.enabled) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no enabled user ${userName}`);
    const id = await freeCodeId(begun);
    const { at } = begun;
    const expiresAt = at + (ttlMs ?? settingsOf(await getRealm(begun)).codeTtlMs);
    await begun.tables.codes.insert({
      id,
      userId: user.id,
      codeKey: access.keyring.wrap(deriveCodeKey(access.crypto, { secret }), PURPOSES.code(access.store.realm, id)),
      expiresAt,
      triesLeft: CODE_TRIES,
      usedAt: null,
      installationId: null,
      createdAt: at,
    });
    begun.audit('code.issue', userName);
    return { id, code: `${id}-${secret}`, expiresAt };
  });
}

async function freeCodeId({ access, tables }: Change): Promise<string> {
  for (;;) {
    const random = formatTypable(access.crypto.randomBytes(ID_RANDOM_LENGTH), ID_RANDOM_LENGTH);
    const id = `${random}${marksOf(access, random)[0]}`;
    if (!(await tables.codes.find({ id }))) return id;
  }
}

/**
 * True for an id that this realm once gave to a code, false for all but one of 32,768 made-up ones. It says nothing of
 * whether the code is good: it keeps the crowd of strangers out of the way of those who have a code.
 */
export function isOurCode(access: Pick<AccessContext, 'keyring' | 'store'>, id: string): boolean {
  const random = id.slice(0, ID_RANDOM_LENGTH);
  return marksOf(access, random).includes(id.slice(ID_RANDOM_LENGTH));
}

function marksOf({ keyring, store }: Pick<AccessContext, 'keyring' | 'store'>, random: string): readonly string[] {
  const marks = keyring.marks(encodeText(`code/${store.realm}/${random}`));
  return marks.map((mark) => formatTypable(mark, ID_MARK_LENGTH));
}

/** The user a code was issued for, whether or not the code is still good, and the key its secret stands for. */
export interface CodeHolder {
  readonly user: UserRow;
  readonly key: CodeKey;
}

/** The holder of a code, by its public part; undefined for an unknown one, and for one whose key was erased. */
export async function findCodeHolder(access: AccessContext, id: string): Promise<CodeHolder | undefined> {
  return access.store.transaction(async ({ tables }) => {
    const row = await tables.codes.find({ id });
    const user = row && (await tables.users.find({ id: row.userId }));
    if (!row?.codeKey || !user) return undefined;
    return { user, key: keyOf(access.keyring.unwrap(row.codeKey, PURPOSES.code(access.store.realm, id))) };
  });
}

/**
 * Locks a code whose secret the handshake has proved, and gives it when it is good. Wrong credentials cost a try, in the
 * caller's transaction, which must commit either way, and give none. A used code is good again only for the caller to check
 * against its pending installation.
 */
export async function tryCode(
  transaction: Transaction,
  { id, wrong }: { readonly id: string; readonly wrong: boolean },
): Promise<CodeRow | undefined> {
  const row = await transaction.tables.codes.find({ id }, 'update');
  if (!row || row.triesLeft === 0 || row.expiresAt <= transaction.now()) return undefined;
  if (!wrong) return row;
  await transaction.tables.codes.update({ where: { id } }, { triesLeft: row.triesLeft - 1 });
  return undefined;
}
