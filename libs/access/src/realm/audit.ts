import { type CryptoProvider, concat, encodeCbor, encodeText, equalBytes } from '@sallyport/channel';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import type { AccessContext, Actor } from './context.ts';
import type { AuditRow } from './rows.ts';

/** What happened, without who and when. */
export interface AuditEvent {
  readonly action: string;
  readonly subject: string;
  readonly outcome: 'done' | 'refused';
}

const GENESIS = new Uint8Array(32);

function hashOf(crypto: CryptoProvider, row: Omit<AuditRow, 'hash'>): Uint8Array {
  const { seq, at, actor, action, subject, outcome, reason, previousHash } = row;
  const body = encodeCbor([seq, at, actor, action, subject, outcome, reason]);
  return crypto.sha256(concat(encodeText('sallyport/1 audit'), previousHash, body));
}

/**
 * Appends one event to the realm's hash chain, in the transaction of the change itself: acknowledged means audited.
 * Locks the head of the chain, so call it last.
 */
export async function appendAudit(transaction: Transaction, crypto: CryptoProvider, event: TimedEvent): Promise<void> {
  await appendAuditEach(transaction, crypto, [event]);
}

/** The same with several events, in their order. */
export async function appendAuditEach(
  transaction: Transaction,
  crypto: CryptoProvider,
  events: readonly TimedEvent[],
): Promise<void> {
  const { auditHeads, audit } = transaction.tables;
  const head = await auditHeads.find({ id: 'head' }, 'update');
  if (!head) throw new TypeError('the realm has no audit head');
  let { seq, hash } = head;
  const rows = events.map((event): AuditRow => {
    seq += 1;
    const unhashed = { ...event, seq, previousHash: hash };
    hash = hashOf(crypto, unhashed);
    return { ...unhashed, hash };
  });
  await Promise.all([audit.insertEach(rows), auditHeads.update({ where: { id: 'head' } }, { seq, hash })]);
}

type TimedEvent = AuditEvent & Actor & { readonly at: number };

/** An event that stands for itself, without a change of other rows. */
type LoneEvent = Omit<AuditEvent, 'outcome'> & Actor;

/** Notes why somebody was refused. What they sent is no part of it. */
export function auditRefusal(access: AccessContext, refusal: LoneEvent): Promise<void> {
  return appendAlone(access, { ...refusal, outcome: 'refused' });
}

/** Notes an order of an operator whose effects are audited as they happen. */
export function auditOrder(access: AccessContext, order: LoneEvent): Promise<void> {
  return appendAlone(access, { ...order, outcome: 'done' });
}

function appendAlone({ store, crypto }: AccessContext, event: AuditEvent & Actor): Promise<void> {
  return store.transaction((transaction) => appendAudit(transaction, crypto, { ...event, at: transaction.now() }));
}

/** Writes the start of the chain. */
export async function beginAudit(transaction: Transaction): Promise<void> {
  await transaction.tables.auditHeads.insert({ id: 'head', seq: 0, hash: GENESIS, seal: null });
}

/** The newest events, newest first. */
export function listAudit(transaction: Transaction, limit: number): Promise<readonly AuditRow[]> {
  return transaction.tables.audit.list({ limit, newestFirst: true });
}

/** A place in the chain: everything up to this event, which has this hash. */
export interface AuditMark {
  readonly seq: number;
  readonly hash: Uint8Array;
}

/** Whether an event is the one after a mark, and says what its hash says. */
export function fitsAfter(crypto: CryptoProvider, row: AuditRow, { seq, hash }: AuditMark): boolean {
  return row.seq === seq + 1 && equalBytes(row.previousHash, hash) && equalBytes(row.hash, hashOf(crypto, row));
}

/** Events that are read in one go. */
const VERIFIED_AT_ONCE = 1_000;

/** Where the chain that is kept begins: at its first event, or after a sealed checkpoint when older ones were removed. */
export async function auditStart({ tables }: Transaction): Promise<AuditMark & { readonly seal: Uint8Array | null }> {
  return (await tables.auditHeads.find({ id: 'start' })) ?? { seq: 0, hash: GENESIS, seal: null };
}

/**
 * Checks the events after a mark, at most a thousand; gives the mark behind them, and whether that is the head.
 * @throws AccessError ERR_ACCESS_AUDIT_BROKEN naming the first event that does not fit.
 */
export async function verifyAfter(
  transaction: Transaction,
  crypto: CryptoProvider,
  from: AuditMark,
): Promise<{ readonly mark: AuditMark; readonly atHead: boolean }> {
  // The head first: what is appended meanwhile is behind it.
  const head = await transaction.tables.auditHeads.find({ id: 'head' });
  const rows = await auditAfter(transaction, from.seq);
  let { seq, hash } = from;
  for (const row of rows) {
    if (!fitsAfter(crypto, row, { seq, hash }))
      throw new AccessError('ERR_ACCESS_AUDIT_BROKEN', `audit event ${seq + 1} is missing or was changed`);
    ({ seq, hash } = row);
    if (head?.seq === seq && !equalBytes(head.hash, hash))
      throw new AccessError('ERR_ACCESS_AUDIT_BROKEN', `the audit log's head does not fit event ${seq}`);
  }
  const ends = rows.length < VERIFIED_AT_ONCE;
  if (!head || (ends && head.seq > seq) || (rows.length === 0 && !(head.seq === seq && equalBytes(head.hash, hash))))
    throw new AccessError('ERR_ACCESS_AUDIT_BROKEN', `the audit log ends after event ${seq}, its head does not`);
  return { mark: { seq, hash }, atHead: ends };
}

/**
 * Checks the whole chain that is kept against its head; gives the number of its last event.
 * @throws AccessError ERR_ACCESS_AUDIT_BROKEN naming the first event that does not fit.
 */
export async function verifyAudit(transaction: Transaction, crypto: CryptoProvider): Promise<number> {
  let mark: AuditMark = await auditStart(transaction);
  for (;;) {
    const verified = await verifyAfter(transaction, crypto, mark);
    mark = verified.mark;
    if (verified.atHead) return mark.seq;
  }
}

function auditAfter(transaction: Transaction, seq: number): Promise<readonly AuditRow[]> {
  return transaction.tables.audit.list({ above: ['seq', seq], limit: VERIFIED_AT_ONCE });
}
