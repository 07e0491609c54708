import { encodeText, equalBytes, formatHex } from '@sallyport/channel';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { type Keyring, kekOf } from '../sealing/keyring.ts';
import type { KekHolderRow, KekRow, KekTurnRow } from '../sealing/rows.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';

/** What a MAC is made of: one JSON list, in which every place has one type. */
function textOf(what: string, realm: string, ...values: readonly unknown[]): Uint8Array {
  return encodeText(JSON.stringify([`sallyport ${what}`, realm, ...values]));
}

/** A turn without its MAC. */
type BareTurn = Omit<KekTurnRow, 'mac'>;

function turnText(realm: string, { turn, kek, from, state, without }: BareTurn): Uint8Array {
  return textOf('kek turn', realm, turn, kek, from, state, without);
}

/** A turn with its MAC by a key: one of before, or the new one where all who read it have that. */
export function sealTurn(keyring: Keyring, realm: string, turn: BareTurn, by: number): KekTurnRow {
  return { ...turn, mac: keyring.macBy(by, turnText(realm, turn)) };
}

/** True for a turn that a node with the realm's keys wrote: by a key of before, and by the new one only once it is done. */
export function isGenuineTurn(keyring: Keyring, realm: string, row: KekTurnRow): boolean {
  const by = row.mac.length > 4 ? kekOf(row.mac) : 0;
  const allowed = row.state === 'done' ? by === row.kek : by === row.kek || row.from.includes(by);
  return allowed && keyring.verifyMac(row.mac, turnText(realm, row));
}

/** What a node says of itself, without the parcel for it. */
export type HolderWord = Pick<KekHolderRow, 'node' | 'instance' | 'publicKey' | 'keks' | 'current'>;

function holderText(realm: string, { node, instance, publicKey, keks, current }: HolderWord): Uint8Array {
  return textOf('kek holder', realm, node, instance, formatHex(publicKey), keks, current);
}

/** The word of a node, by the key that it wraps with. */
export function sealHolder(
  keyring: Keyring,
  realm: string,
  word: HolderWord,
): HolderWord & { readonly mac: Uint8Array } {
  return { ...word, mac: keyring.mac(holderText(realm, word)) };
}

/** True for a word of a node that has a key in use: nobody else is given a new one. */
function isGenuineHolder(keyring: Keyring, realm: string, row: HolderWord & { readonly mac: Uint8Array }): boolean {
  return keyring.verifyMac(row.mac, holderText(realm, row));
}

/** What a parcel is bound to, so that it opens for one turn, one run of one node and one key only. */
export function parcelPurpose(realm: string, turn: string, { node, instance }: HolderWord, kek: number): string {
  return JSON.stringify(['sallyport kek parcel', realm, turn, node, instance, kek]);
}

/** MAC of a parcel by the key that its owner wraps with: a key of anybody else is none for us. */
export function markParcel(keyring: Keyring, by: number, purpose: string, parcel: Uint8Array): Uint8Array {
  return keyring.macBy(by, textOf('parcel', purpose, formatHex(parcel)));
}

/** True for a parcel that a node with a key in use made. */
export function isGenuineParcel(keyring: Keyring, mac: Uint8Array, purpose: string, parcel: Uint8Array): boolean {
  return keyring.verifyMac(mac, textOf('parcel', purpose, formatHex(parcel)));
}

function forgottenText(realm: string, kek: number): Uint8Array {
  return textOf('kek forgotten', realm, kek);
}

/** Keys that an operator wants no node to keep any more. */
export function forgottenOf(keyring: Keyring, realm: string, rows: readonly KekRow[]): number[] {
  const gone = rows.filter(({ id, forgotten }) => forgotten && keyring.verifyMac(forgotten, forgottenText(realm, id)));
  return gone.map(({ id }) => id);
}

/** True while a turn is not done. */
export function isUnderWay(row: KekTurnRow | undefined): row is KekTurnRow {
  return row !== undefined && row.state !== 'done';
}

/** The turn that began, or that goes on. */
export interface BegunTurn {
  readonly turn: KekTurnRow;
  /** False for one that was under way. */
  readonly begun: boolean;
}

/** How a turn is begun. */
export interface TurnOrder {
  /** Silent nodes that it does not wait for. */
  readonly without?: readonly string[];
  /** Everything is to be wrapped with a key that the nodes have already: after a restore of what an older one wrapped. */
  readonly to?: number;
}

/**
 * Begins to turn the key-encryption key; while that is under way it only adds nodes that are not waited for. The nodes do the rest.
 */
export async function beginKekTurn(access: AccessContext, by: Actor, order: TurnOrder = {}): Promise<BegunTurn> {
  const { keyring, crypto, store } = access;
  const { without = [], to = 0 } = order;
  return change(access, by, async (begun) => {
    const { kekTurns } = begun.tables;
    const found = await kekTurns.find({ id: 'turn' }, 'update');
    const good = isUnderWay(found) && isGenuineTurn(keyring, store.realm, found);
    const running = good && leadsOn(found, keyring.current, to) ? found : undefined;
    if (running && without.every((node) => running.without.includes(node))) {
      begun.unchanged();
      return { turn: running, begun: false };
    }
    const named = [...new Set([...(running?.without ?? []), ...without])].sort();
    const turn = running
      ? sealTurn(keyring, store.realm, { ...running, without: named }, kekOf(running.mac))
      : sealTurn(keyring, store.realm, newTurn({ crypto, keyring, to, named, by, at: begun.at }), keyring.current);
    if (found) await kekTurns.update({ where: { id: 'turn' } }, turn);
    else await kekTurns.insert(turn);
    const subject = without.length > 0 ? `without ${named.join(', ')}` : `from ${keyring.current}`;
    begun.audit(running ? 'kek.rotate-without' : 'kek.rotate', subject);
    return { turn, begun: !running };
  });
}

/** Whether a turn leads to where one is wanted, or is left over from before a restore. */
function leadsOn({ kek }: KekTurnRow, current: number, to: number): boolean {
  return to === 0 ? kek === 0 || kek >= current : kek === to;
}

function newTurn(parts: {
  readonly crypto: AccessContext['crypto'];
  readonly keyring: Keyring;
  readonly to: number;
  readonly named: readonly string[];
  readonly by: Actor;
  readonly at: number;
}): BareTurn {
  const { crypto, keyring, to, named, by, at } = parts;
  const { actor, reason } = by;
  return {
    id: 'turn',
    turn: randomId(crypto),
    kek: to,
    from: [...keyring.ids].sort((a, b) => a - b),
    state: 'spreading',
    without: named,
    ...{ actor, reason, startedAt: at, changedAt: at, renewed: 0, forged: 0 },
  };
}

/**
 * Takes a retired key out of the files of all nodes: backups of before it was retired, and tokens and codes that were made with it,
 * are good for nothing without it.
 * @throws AccessError ERR_ACCESS_NOT_FOUND for a key that nobody knows, ERR_ACCESS_CONFLICT for one that is in use
 */
export async function forgetKek(access: AccessContext, kek: number, by: Actor): Promise<void> {
  const { keyring, store } = access;
  await change(access, by, async (begun) => {
    const row = await begun.tables.keks.find({ id: kek }, 'update');
    if (!row) throw new AccessError('ERR_ACCESS_NOT_FOUND', `the realm knows no key-encryption key ${kek}`);
    if (row.retiredAt === null || keyring.ids.includes(kek))
      throw new AccessError('ERR_ACCESS_CONFLICT', `key-encryption key ${kek} is in use`);
    if (forgottenOf(keyring, store.realm, [row]).length > 0) return begun.unchanged();
    const forgotten = keyring.mac(forgottenText(store.realm, kek));
    await begun.tables.keks.update({ where: { id: kek } }, { forgotten });
    return begun.audit('kek.forget', String(kek));
  });
}

/** Why a turn goes on no further yet, for one node. */
export interface TurnWait {
  readonly node: string;
  readonly why: 'silent' | 'older version' | 'has not the key yet' | 'wraps with another key';
}

/** What the realm's tables say of its key-encryption keys. */
export interface KekView {
  readonly keks: readonly KekRow[];
  /** The last turn that began, if its row is genuine. */
  readonly turn: KekTurnRow | undefined;
  /** Nodes that say what keys they have. */
  readonly holders: readonly KekHolderRow[];
  /** All nodes, whether or not they live. */
  readonly nodes: readonly string[];
}

/** Reads what the tables say of the realm's key-encryption keys; rows of anybody else are left out. */
export async function readKeks({ tables }: Transaction, keyring: Keyring, realm: string): Promise<KekView> {
  const turn = await tables.kekTurns.find({ id: 'turn' });
  return {
    keks: await tables.keks.list(),
    turn: turn && isGenuineTurn(keyring, realm, turn) ? turn : undefined,
    holders: (await tables.kekHolders.list()).filter((row) => isGenuineHolder(keyring, realm, row)),
    nodes: (await tables.nodes.list()).map(({ id }) => id),
  };
}

/** What the realm knows of its key-encryption keys now. */
export function listKeks({ store, keyring }: AccessContext): Promise<KekView> {
  return store.transaction((transaction) => readKeks(transaction, keyring, store.realm));
}

/** Whom a turn waits for before it goes on to its next state. */
export function turnWaits({ turn, holders, nodes }: KekView, awake: (node: string) => boolean): TurnWait[] {
  if (!isUnderWay(turn)) return [];
  const counted = nodes.filter((node) => awake(node) || !turn.without.includes(node));
  return counted.flatMap((node): TurnWait[] => {
    const holder = holders.find((row) => row.node === node);
    const has = holder && turn.kek > 0 && holder.keks.includes(turn.kek);
    // Who sleeps with the key in its file wraps with it once awake.
    if (has && (turn.state === 'spreading' || holder.current === turn.kek || !awake(node))) return [];
    if (!awake(node)) return [{ node, why: 'silent' }];
    if (!holder) return [{ node, why: 'older version' }];
    return [{ node, why: has ? 'wraps with another key' : 'has not the key yet' }];
  });
}

/** Whether two rows of a node say the same. */
export function sameHolder(a: KekHolderRow, b: HolderWord & { readonly mac: Uint8Array }): boolean {
  return a.instance === b.instance && equalBytes(a.mac, b.mac);
}
