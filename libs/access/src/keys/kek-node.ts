import { type CryptoProvider, KEY_BYTES } from '@sallyport/channel';
import { appendAudit } from '../realm/audit.ts';
import { randomId } from '../realm/ids.ts';
import { createParcelBox, type ParcelBox, sealParcel } from '../sealing/kek-parcel.ts';
import { newKek, nextKekId } from '../sealing/keks.ts';
import { createKeyring, type KekSet, kekOf, type LiveKeyring } from '../sealing/keyring.ts';
import type { KekHolderRow, KekTurnRow } from '../sealing/rows.ts';
import { type ForgedRow, RowSeal } from '../sealing/sealed-store.ts';
import type { EpochFence } from '../store/fence.ts';
import { anyTable, type RealmStore, type Transaction } from '../store/store.ts';
import type { AnyRow } from '../store/tables.ts';
import {
  forgottenOf,
  isGenuineParcel,
  isGenuineTurn,
  isUnderWay,
  type KekView,
  markParcel,
  parcelPurpose,
  readKeks,
  sameHolder,
  sealHolder,
  sealTurn,
  turnWaits,
} from './kek-turn.ts';
import { KEPT_TABLES, renewBatch } from './renewing.ts';

/** Where a node keeps its key-encryption keys outside of the store. */
export interface KekShelf {
  read(): KekSet;
  /** Changes what is there now, durably: when it returns, the change outlives a power cut. Gives what is there then. */
  change(edit: (set: KekSet) => KekSet): KekSet;
}

/** What a node's part in turns is made of. */
export interface KekNodeParts {
  /** Name of the node. */
  readonly node: string;
  /** The bare store: a node that lacks a key could read no sealed row. */
  readonly store: RealmStore;
  readonly crypto: CryptoProvider;
  readonly shelf: KekShelf;
  readonly keyring: LiveKeyring;
  readonly fence: EpochFence;
  /** Hears of forged rows that are left as they are. */
  readonly report: (row: ForgedRow) => void;
  /**
   * Resolves when every transaction that is under way in the database has ended: what was wrapped with an older key in one of them is
   * there only then, however long it takes. A database in memory has none.
   */
  readonly othersEnded?: () => Promise<void>;
  /** How long all nodes have wrapped with the new key before a pass over all rows counts, ms: what waits for a connection, too, was wrapped before. */
  readonly settleMs?: number;
  /** Between two batches of rows, so that others get their turn. */
  readonly pause?: () => Promise<unknown>;
}

/** Which nodes live, as the asking node sees it. */
export interface AwakeNodes {
  awake(node: string): boolean;
}

/** Work waits no longer than that for a connection; from then on the database itself says what is under way. */
const SETTLE_MS = 10_000;
/** A node that has drawn a key has it in its file sooner; else it is gone with it. By the store's clock, ms. */
const REDRAW_MS = 10_000;

interface Seen extends KekView {
  /** The row as it is there, be it genuine or not. */
  readonly raw: KekTurnRow | undefined;
  /** MAC of the realm's row, where that is not one that this node can check; undefined where it is. */
  readonly foreign: Uint8Array | undefined;
  readonly now: number;
}

/** A pass over all rows, and whether nothing could be wrapped with an older key when it began. */
interface Pass {
  readonly turn: string;
  readonly settled: boolean;
  readonly renewed: number;
}

/**
 * The part of one node in turning the key-encryption key. It takes new keys into its file, says what it has, and, when it is the
 * first of those who have the new key, hands it to others and wraps everything with it. Every step reads where things stand and
 * goes on from there, so that whoever is killed is followed by another node, or by itself after its next start.
 */
export class KekNode {
  readonly #parts: KekNodeParts;
  readonly #box: ParcelBox;
  readonly #instance: string;
  #adopted: KekSet | undefined;
  #missing: MissingKek | undefined;
  #settling: { readonly turn: string; readonly at: number; othersEnded: boolean } | undefined;
  #awaiting: Promise<void> | undefined;
  #pass: Promise<void> | undefined;
  #lastPass: Pass | undefined;
  #stopped = false;

  constructor(parts: KekNodeParts) {
    this.#parts = parts;
    this.#box = createParcelBox(parts.crypto);
    this.#instance = randomId(parts.crypto);
  }

  /** In words, which key this node lacks without which it can read no row; undefined when it has what it needs. */
  get missing(): MissingKek | undefined {
    return this.#missing;
  }

  /** Takes and says what there is to take and to say, without leading others: for a node that is not up yet. */
  async enter(): Promise<void> {
    this.#adopt(this.#parts.shelf.read());
    const seen = await this.#look();
    this.#follow(seen);
    await this.#tell(seen);
  }

  /** One step; to be called again and again while the node lives, never twice at once. Gives what it has seen. */
  async step(nodes: AwakeNodes): Promise<KekView> {
    const seen = await this.#look();
    this.#follow(seen);
    // What it has just said counts, too: a key that it lately drew is not lost.
    const now = (await this.#tell(seen)) ? await this.#look() : seen;
    // One of an older key is from a backup: whoever restored it begins another one.
    const current = now.turn?.kek === 0 || (now.turn?.kek ?? 0) >= this.#parts.keyring.current;
    if (isUnderWay(now.turn) && current) await this.#lead(now, now.turn, nodes);
    return now;
  }

  /** Waits for the pass over all rows that is under way. */
  async idle(): Promise<void> {
    await this.#pass;
  }

  /** Begins nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#pass?.catch(() => undefined);
  }

  /** A transaction on the bare store, unless nothing may be done in this database any more. */
  #transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const { store, fence } = this.#parts;
    return store.transaction(async (transaction) => {
      const realm = await transaction.tables.realms.find({ id: 'realm' });
      if (realm) fence.check(realm);
      return work(transaction);
    });
  }

  #look(): Promise<Seen> {
    const { keyring, store } = this.#parts;
    const seal = new RowSeal(store.realm, 'realms', keyring);
    return this.#transaction(async (transaction) => {
      const realm: AnyRow | undefined = await anyTable(transaction.tables, 'realms').find({ id: 'realm' });
      const rowMac = realm?.['rowMac'];
      return {
        ...(await readKeks(transaction, keyring, store.realm)),
        raw: await transaction.tables.kekTurns.find({ id: 'turn' }),
        foreign: realm && rowMac instanceof Uint8Array && !seal.isGenuine(realm) ? rowMac : undefined,
        now: transaction.now(),
      };
    });
  }

  /** Brings file and keyring to where the turn is. */
  #follow(seen: Seen): void {
    const { shelf, keyring, store } = this.#parts;
    const before = shelf.read();
    this.#adopt(before);
    const parcel = this.#openParcel(seen, before);
    const edit = (set: KekSet): KekSet =>
      withoutForgotten(
        followed(set, seen.raw, { parcel, genuine: this.#isGenuine }),
        forgottenOf(keyring, store.realm, seen.keks),
      );
    if (!sameSet(before, edit(before))) this.#adopt(shelf.change(edit));
    parcel?.key.fill(0);
    this.#missing = missingOf(shelf.read(), seen);
  }

  /** By the keys of this moment: a key that has just come vouches for what it made. */
  readonly #isGenuine = (set: KekSet, row: KekTurnRow): boolean =>
    isGenuineTurn(createKeyring(this.#parts.crypto, set.keys, set.current), this.#parts.store.realm, row);

  #adopt(set: KekSet): void {
    if (this.#adopted && sameSet(this.#adopted, set)) return;
    const { crypto, keyring } = this.#parts;
    keyring.replace(createKeyring(crypto, set.keys, set.current, set.retired));
    this.#adopted = set;
  }

  /** The key in the parcel for this run of this node; undefined when there is none, or none of ours. */
  #openParcel({ raw, holders }: Seen, set: KekSet): OpenedParcel | undefined {
    const { node, store, keyring } = this.#parts;
    const own = holders.find((row) => row.node === node && row.instance === this.#instance);
    if (!isUnderWay(raw) || !own?.parcel || !own.parcelMac || raw.kek !== own.parcelKek || set.keys.has(raw.kek))
      return undefined;
    const purpose = parcelPurpose(store.realm, raw.turn, own, raw.kek);
    if (!isGenuineParcel(keyring, own.parcelMac, purpose, own.parcel)) return undefined;
    return { kek: raw.kek, key: this.#box.open(own.parcel, purpose) };
  }

  /** Says what this node has in its file: nobody counts on a key before that is durable. False where that was said before. */
  async #tell({ holders }: Seen): Promise<boolean> {
    const { node, keyring, store } = this.#parts;
    const keks = [...keyring.ids].sort((a, b) => a - b);
    const { publicKey } = this.#box;
    const word = sealHolder(keyring, store.realm, {
      node,
      instance: this.#instance,
      publicKey,
      keks,
      current: keyring.current,
    });
    const known = holders.find((row) => row.node === node);
    if (known && sameHolder(known, word)) return false;
    await this.#transaction(async ({ tables }) => {
      const row = { ...word, parcelKek: null, parcel: null, parcelMac: null };
      if (await tables.kekHolders.find({ node }, 'update')) await tables.kekHolders.update({ where: { node } }, row);
      else await tables.kekHolders.insert(row);
    });
    return true;
  }

  async #lead(seen: Seen, turn: KekTurnRow, nodes: AwakeNodes): Promise<void> {
    const { node } = this.#parts;
    const living = seen.nodes.filter((id) => nodes.awake(id)).sort();
    const having = living.filter((id) => this.#has(seen, id, turn.kek));
    if (having.length === 0) {
      const lost = turn.kek === 0 || seen.now - turn.changedAt > REDRAW_MS;
      if (lost && living[0] === node) await this.#draw(turn);
      return;
    }
    if (having[0] !== node) return;
    await this.#handOut(seen, turn);
    const waits = turnWaits(seen, (id) => nodes.awake(id));
    if (turn.state === 'spreading' && waits.length === 0) return this.#advance(turn, 'wrapping', nodes);
    if (turn.state === 'wrapping') await this.#wrap(turn, waits.length === 0, nodes);
  }

  #has({ holders }: Seen, node: string, kek: number): boolean {
    return kek > 0 && holders.some((row) => row.node === node && row.keks.includes(kek));
  }

  /** Draws the new key. The realm knows its number before the file has it, so that of two nodes that take one only one gets it. */
  async #draw(turn: KekTurnRow): Promise<void> {
    const { crypto, keyring, shelf, store } = this.#parts;
    const key = crypto.randomBytes(KEY_BYTES);
    const kek = await this.#transaction(async (transaction) => {
      const { kekTurns, keks } = transaction.tables;
      const now = await kekTurns.find({ id: 'turn' }, 'update');
      if (now?.turn !== turn.turn || now.kek !== turn.kek || now.state !== 'spreading') return undefined;
      const id = await nextKekId(transaction, keyring);
      const checkValue = createKeyring(crypto, new Map([[id, key]]), id).checkValue(id)!;
      await keks.insert(newKek(id, checkValue, transaction.now()));
      const drawn = { ...now, kek: id, changedAt: transaction.now() };
      await kekTurns.update({ where: { id: 'turn' } }, sealTurn(keyring, store.realm, drawn, keyring.current));
      return id;
    });
    if (kek !== undefined) this.#adopt(shelf.change((set) => ({ ...set, keys: new Map([...set.keys, [kek, key]]) })));
  }

  /** Seals the key for each node that lacks it: by the key that this one wraps with, so that it knows who it is from. */
  async #handOut({ holders }: Seen, turn: KekTurnRow): Promise<void> {
    const { kek } = turn;
    const { crypto, keyring, shelf, store } = this.#parts;
    const lacking = holders.filter((row) => !row.keks.includes(kek) && !this.#isGiven(row, turn));
    const key = lacking.length > 0 ? shelf.read().keys.get(kek) : undefined;
    if (!key) return;
    for (const row of lacking) {
      const purpose = parcelPurpose(store.realm, turn.turn, row, kek);
      const parcel = sealParcel(crypto, row.publicKey, { kek: key, purpose });
      const change = { parcelKek: kek, parcel, parcelMac: markParcel(keyring, kekOf(row.mac), purpose, parcel) };
      const { node, instance } = row;
      await this.#transaction(({ tables }) => tables.kekHolders.update({ where: { node, instance } }, change));
    }
    key.fill(0);
  }

  #isGiven(row: KekHolderRow, { turn, kek }: KekTurnRow): boolean {
    const { parcel, parcelMac, parcelKek } = row;
    if (!parcel || !parcelMac || parcelKek !== kek) return false;
    return isGenuineParcel(
      this.#parts.keyring,
      parcelMac,
      parcelPurpose(this.#parts.store.realm, turn, row, kek),
      parcel,
    );
  }

  /** The next state, if nobody is to be waited for at that very moment either. */
  #advance({ turn, state }: KekTurnRow, next: 'wrapping' | 'done', nodes: AwakeNodes): Promise<void> {
    const { crypto, keyring, store } = this.#parts;
    return this.#transaction(async (transaction) => {
      const { tables } = transaction;
      await tables.kekTurns.find({ id: 'turn' }, 'update');
      const view = await readKeks(transaction, keyring, store.realm);
      const now = view.turn;
      if (now?.turn !== turn || now.state !== state || turnWaits(view, (id) => nodes.awake(id)).length > 0) return;
      const by = next === 'done' ? now.kek : kekOf(now.mac);
      const changed = { ...now, state: next, changedAt: transaction.now() };
      await tables.kekTurns.update({ where: { id: 'turn' } }, sealTurn(keyring, store.realm, changed, by));
      if (next !== 'done') return;
      for (const { id, retiredAt } of view.keks) {
        if (id === now.kek || retiredAt !== null) continue;
        await tables.keks.update({ where: { id } }, { retiredAt: transaction.now() });
      }
      await tables.kekHolders.update({}, { parcelKek: null, parcel: null, parcelMac: null });
      const { actor, reason, kek, from } = now;
      const event = {
        actor,
        reason,
        action: 'kek.retire',
        subject: `${from.filter((id) => id !== kek).join(', ')} for ${kek}`,
      };
      await appendAudit(transaction, crypto, { ...event, outcome: 'done', at: transaction.now() });
    });
  }

  /** Passes over all rows until one that began late enough had nothing to do. */
  async #wrap(turn: KekTurnRow, allSwitched: boolean, nodes: AwakeNodes): Promise<void> {
    if (this.#pass) return;
    const settled = this.#isSettled(turn.turn, allSwitched);
    const last = this.#lastPass;
    this.#lastPass = undefined;
    if (allSwitched && last?.turn === turn.turn && last.settled && last.renewed === 0)
      return this.#advance(turn, 'done', nodes);
    const pass = this.#passOver(turn, settled).finally(() => {
      this.#pass = undefined;
    });
    this.#pass = pass;
    // Whoever looks again starts another one.
    pass.catch(() => undefined);
  }

  #isSettled(turn: string, allSwitched: boolean): boolean {
    const at = performance.now();
    if (!allSwitched) this.#settling = undefined;
    else if (this.#settling?.turn !== turn) this.#settling = { turn, at, othersEnded: false };
    const settling = this.#settling;
    if (!settling || at - settling.at < (this.#parts.settleMs ?? SETTLE_MS)) return false;
    if (!settling.othersEnded) this.#awaitOthers(settling);
    return settling.othersEnded;
  }

  /** Once at a time; where the database does not say so in time, it is asked again. */
  #awaitOthers(settling: { othersEnded: boolean }): void {
    const { othersEnded } = this.#parts;
    if (!othersEnded) {
      settling.othersEnded = true;
      return;
    }
    this.#awaiting ??= othersEnded()
      .then(() => {
        settling.othersEnded = true;
      })
      .catch(() => undefined)
      .finally(() => {
        this.#awaiting = undefined;
      });
  }

  async #passOver({ turn }: KekTurnRow, settled: boolean): Promise<void> {
    const { store, keyring, report, pause } = this.#parts;
    const guarded: RealmStore = { realm: store.realm, transaction: (work) => this.#transaction(work) };
    const current = keyring.current;
    let [renewed, forged] = [0, 0];
    for (const name of KEPT_TABLES) {
      let after: number | string | undefined;
      do {
        if (this.#stopped || keyring.current !== current) return;
        const batch = await renewBatch({ store: guarded, keyring, report }, name, after);
        [renewed, forged, after] = [renewed + batch.renewed, forged + batch.forged, batch.next];
        if (batch.renewed > 0) await this.#count(turn, batch.renewed);
        await pause?.();
      } while (after !== undefined);
    }
    await this.#transaction(({ tables }) => tables.kekTurns.update({ where: { id: 'turn', turn } }, { forged }));
    this.#lastPass = { turn, settled, renewed };
  }

  #count(turn: string, renewed: number): Promise<void> {
    return this.#transaction(async ({ tables }) => {
      const row = await tables.kekTurns.find({ id: 'turn' }, 'update');
      if (row?.turn === turn)
        await tables.kekTurns.update({ where: { id: 'turn' } }, { renewed: row.renewed + renewed });
    });
  }
}

/** A key without which a node can read no row. */
export interface MissingKek {
  /** Which one, and what to do. */
  readonly words: string;
  /** True while other nodes may hand it over. */
  readonly comes: boolean;
}

interface OpenedParcel {
  readonly kek: number;
  readonly key: Uint8Array;
}

/** What a node keeps once it knows of a turn: keys come, wrap and retire, and never the other way round. */
function followed(
  set: KekSet,
  raw: KekTurnRow | undefined,
  {
    parcel,
    genuine,
  }: { readonly parcel: OpenedParcel | undefined; readonly genuine: (set: KekSet, row: KekTurnRow) => boolean },
): KekSet {
  const keys = new Map(set.keys);
  if (parcel && !keys.has(parcel.kek)) keys.set(parcel.kek, Uint8Array.from(parcel.key));
  const grown = { ...set, keys };
  if (!raw || raw.kek === 0 || raw.kek < set.current || !keys.has(raw.kek) || !genuine(grown, raw)) return grown;
  if (raw.state === 'spreading') return revived(grown, raw);
  const turned = { ...revived(grown, raw), current: raw.kek };
  return raw.state === 'done' ? finishing(retiring(turned), raw) : turned;
}

/** Turns that a node remembers: only those of its present key could come again. */
const MAX_FINISHED = 32;

function finishing(set: KekSet, { turn }: KekTurnRow): KekSet {
  const { finished = [] } = set;
  return finished.includes(turn) ? set : { ...set, finished: [...finished, turn].slice(-MAX_FINISHED) };
}

/**
 * After a restore everything is wrapped anew from a key that was retired: only who has the current one can say so, and only once.
 */
function revived(set: KekSet, { turn, kek, from, mac, state }: KekTurnRow): KekSet {
  if (state === 'done' || kekOf(mac) !== kek || set.finished?.includes(turn)) return set;
  return takenBack(set, (id) => from.includes(id));
}

/** Takes retired keys into use again. */
export function takenBack(set: KekSet, wanted: (id: number) => boolean): KekSet {
  const back = [...set.retired].filter(([id]) => wanted(id));
  const retired = new Map([...set.retired].filter(([id]) => !wanted(id)));
  return { ...set, keys: new Map([...back, ...set.keys]), retired };
}

function retiring(set: KekSet): KekSet {
  const { current, keys, retired } = set;
  const old = [...keys].filter(([id]) => id !== current);
  return { ...set, keys: new Map([[current, keys.get(current)!]]), retired: new Map([...retired, ...old]) };
}

function withoutForgotten(set: KekSet, forgotten: readonly number[]): KekSet {
  return { ...set, retired: new Map([...set.retired].filter(([id]) => !forgotten.includes(id))) };
}

function sameSet(a: KekSet, b: KekSet): boolean {
  const same = (x: KekSet['keys'], y: KekSet['keys']): boolean =>
    x.size === y.size && [...x.keys()].every((id) => y.has(id));
  const ended = a.finished?.at(-1) === b.finished?.at(-1);
  return ended && a.current === b.current && same(a.keys, b.keys) && same(a.retired, b.retired);
}

/** A realm's row that this node cannot check: in words, by which key it is, and where that comes from. */
function missingOf({ keys, retired }: KekSet, { foreign, raw }: Seen): MissingKek | undefined {
  const kek = foreign && foreign.length > 4 ? kekOf(foreign) : 0;
  if (kek === 0 || keys.has(kek)) return undefined;
  const why = `the realm is sealed with key-encryption key ${kek}`;
  if (retired.has(kek)) {
    const back = 'after a restore "sallyport realm new-epoch" takes it into use again';
    return { words: `${why}, which was retired: ${back}`, comes: false };
  }
  const comes = isUnderWay(raw);
  const remedy = comes
    ? 'a node that has it hands it over while the turn lasts'
    : 'copy the file of a node that has it';
  return { words: `${why}, which kek.json of this node lacks: ${remedy}`, comes };
}
