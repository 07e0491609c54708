import { bumpPolicyVersion } from '../realm/realm.ts';
import { rewrappedBackend } from '../rights/backend-secrets.ts';
import { type Keyring, kekOf, PURPOSES } from '../sealing/keyring.ts';
import { type ForgedRow, RowSeal } from '../sealing/sealed-store.ts';
import { AccessError } from '../store/errors.ts';
import { anyTable, type RealmStore, type RowChange, type Transaction } from '../store/store.ts';
import { type AnyRow, type Rows, SEALED_TABLES, shapeOf, type TableName } from '../store/tables.ts';

/** Wraps one stored secret anew, where another key than the current one holds it. */
type Renew = <Envelope extends Uint8Array | null>(envelope: Envelope, purpose: string) => Envelope;

/** The columns of each table that hold wrapped secrets, with these renewed. */
const WRAPPED: {
  readonly [Name in TableName]?: (row: Rows[Name], realm: string, renew: Renew) => Partial<Rows[Name]>;
} = {
  keys: ({ id, secret }, realm, renew) => ({ secret: renew(secret, PURPOSES.key(realm, id)) }),
  installations: ({ id, currentKey, nextKey, previousKey }, realm, renew) => ({
    currentKey: renew(currentKey, PURPOSES.sharedKey(realm, id)),
    nextKey: renew(nextKey, PURPOSES.sharedKey(realm, id)),
    previousKey: renew(previousKey, PURPOSES.sharedKey(realm, id)),
  }),
  sessions: ({ id, secret, delegated, endKey }, realm, renew) => ({
    secret: renew(secret, PURPOSES.session(realm, id)),
    delegated: renew(delegated, PURPOSES.delegated(realm, id)),
    endKey: renew(endKey, PURPOSES.sessionEnd(realm, id)),
  }),
  codes: ({ id, codeKey }, realm, renew) => ({ codeKey: renew(codeKey, PURPOSES.code(realm, id)) }),
  directories: ({ name, secret }, realm, renew) => ({ secret: renew(secret, PURPOSES.directory(realm, name)) }),
  resources: ({ name, backend }, realm, renew) => ({
    backend: rewrappedBackend(backend, (envelope, which) => renew(envelope, PURPOSES.resource(realm, name, which))),
  }),
  auditHeads: ({ seal }, realm, renew) => ({ seal: renew(seal, PURPOSES.auditStart(realm)) }),
  factors: ({ userId, secret }, realm, renew) => ({ secret: renew(secret, PURPOSES.factor(realm, userId)) }),
};

/** Tables with anything that a key-encryption key holds. */
export const KEPT_TABLES: readonly TableName[] = [
  ...new Set([...SEALED_TABLES, ...(Object.keys(WRAPPED) as TableName[])]),
];

/** Rows that one transaction renews at most: none may hold many rows for long. */
const BATCH = 200;

/** What rows are renewed with. */
export interface RenewingParts {
  /** The bare store: forged rows must not stop it. */
  readonly store: RealmStore;
  readonly keyring: Keyring;
  /** Hears of rows that no key in use vouches for, and of secrets that do not open: they are left as they are. */
  readonly report: (row: ForgedRow) => void;
}

/** What came of a batch. */
export interface Renewed {
  readonly renewed: number;
  readonly forged: number;
  /** Where the next batch begins; undefined when this was the last one of the table. */
  readonly next: number | string | undefined;
}

/**
 * Wraps secrets and seals rows of a table anew by the current key, a batch in key order from behind a place on; what is current
 * is only read. Safe to run again, and beside everything else.
 */
export function renewBatch(parts: RenewingParts, name: TableName, after?: number | string): Promise<Renewed> {
  const reader = new TableRenewal(parts, name);
  return parts.store.transaction(async (transaction) => {
    // Whoever changes resources locks the realm's row first, too.
    if (name === 'resources') await transaction.tables.realms.find({ id: 'realm' }, 'update');
    const { rows, next } = await rowsBehind(transaction, name, after);
    const { changes, forged } = reader.changesOf(rows);
    if (changes.length > 0) await anyTable(transaction.tables, name).updateEach(changes);
    // Who keeps resources in memory keeps their envelopes with them.
    if (changes.length > 0 && name === 'resources') await bumpPolicyVersion(transaction);
    return { renewed: changes.length, forged, next };
  });
}

/** Rows in key order by the first column of the key; those with one value of it stay together. */
async function rowsBehind(
  { tables }: Transaction,
  name: TableName,
  after: number | string | undefined,
): Promise<{ readonly rows: readonly AnyRow[]; readonly next: number | string | undefined }> {
  const column = shapeOf(name).key[0]!;
  const behind = after === undefined ? {} : { above: [column, after] as const };
  for (let limit = BATCH; ; limit *= 4) {
    const rows = await anyTable(tables, name).list({ ...behind, limit }, 'update');
    if (rows.length < limit) return { rows, next: undefined };
    const last = rows.at(-1)![column] as number | string;
    const whole = rows.filter((row) => row[column] !== last);
    // All of one value: more of them at once.
    if (whole.length > 0) return { rows: whole, next: whole.at(-1)![column] as number | string };
  }
}

type WrappedOf = (row: AnyRow, realm: string, renew: Renew) => AnyRow;

/** What is to be changed in rows of a table. */
class TableRenewal {
  readonly #parts: RenewingParts;
  readonly #name: TableName;
  readonly #seal: RowSeal | undefined;
  readonly #wrapped: WrappedOf | undefined;

  constructor(parts: RenewingParts, name: TableName) {
    this.#parts = parts;
    this.#name = name;
    this.#seal = SEALED_TABLES.includes(name) ? new RowSeal(parts.store.realm, name, parts.keyring) : undefined;
    // Each is of the rows of its own table.
    this.#wrapped = WRAPPED[name] as WrappedOf | undefined;
  }

  changesOf(rows: readonly AnyRow[]): { readonly changes: RowChange<AnyRow>[]; readonly forged: number } {
    const changes: RowChange<AnyRow>[] = [];
    let forged = 0;
    for (const row of rows) {
      const { change, doubtful } = this.#changeOf(row);
      if (change) changes.push({ key: this.#keyOf(row), change });
      if (!doubtful) continue;
      forged += 1;
      this.#parts.report({ table: this.#name, key: Object.values(this.#keyOf(row)).join('/') });
    }
    return { changes, forged };
  }

  #changeOf(row: AnyRow): { readonly change?: AnyRow; readonly doubtful: boolean } {
    const seal = this.#seal;
    let [doubtful, stale] = [false, seal !== undefined && !seal.isCurrent(row)];
    const { realm } = this.#parts.store;
    const wrapped = this.#wrapped?.(row, realm, (envelope, purpose) => {
      if (envelope === null || kekOf(envelope) === this.#parts.keyring.current) return envelope;
      const renewed = this.#renewed(envelope, purpose);
      if (renewed) stale = true;
      else doubtful = true;
      return (renewed ?? envelope) as typeof envelope;
    });
    if (!stale) return { doubtful };
    if (!seal) return { change: { ...wrapped }, doubtful };
    // A change would make a forged row look like ours.
    if (!seal.isGenuine(row)) return { doubtful: true };
    return { change: { ...wrapped, rowMac: seal.of({ ...row, ...wrapped }) }, doubtful };
  }

  #renewed(envelope: Uint8Array, purpose: string): Uint8Array | undefined {
    const { keyring } = this.#parts;
    try {
      const secret = keyring.unwrap(envelope, purpose);
      const renewed = keyring.wrap(secret, purpose);
      secret.fill(0);
      return renewed;
    } catch (error) {
      if (error instanceof AccessError) return undefined;
      throw error;
    }
  }

  #keyOf(row: AnyRow): AnyRow {
    return Object.fromEntries(shapeOf(this.#name).key.map((column) => [column, row[column]]));
  }
}
