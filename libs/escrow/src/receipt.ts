import { EscrowError } from './errors.ts';
import { checksOf, type OpenedSet, type SetDescription, type SetKek, type ShareFile } from './set.ts';
import { proveShare } from './share.ts';
import { isProof } from './signing.ts';

/** What an officer, or enough of them together, prove to Security. */
interface ReceiptWords {
  readonly set: string;
  /** Epoch ms, by the clock of the machine where it was opened. */
  readonly at: number;
  /** Who opened their share; several for a drill. */
  readonly officers: readonly string[];
  /** Of a drill: the keys that came out. */
  readonly keks?: readonly SetKek[];
}

/** A proof with its words. It tells nothing of share or key. */
export interface EscrowReceipt extends ReceiptWords {
  readonly signature: string;
  /** Of a drill: a signature by the share of each officer, in their order. Nobody is named who was not there with theirs. */
  readonly shares?: readonly string[];
}

function textOf({ set, at, officers, keks }: ReceiptWords): string {
  return JSON.stringify([set, at, officers, keks?.map(({ id, check }) => [id, check]) ?? null]);
}

/** The receipt of one officer whose share opens. */
export function receiptOfShare(share: ShareFile, at: number): EscrowReceipt {
  const words: ReceiptWords = { set: share.description.set, at, officers: [share.name] };
  return { ...words, signature: proveShare(share, textOf(words)) };
}

/** The receipt of a drill: these shares make the keys that the description names. @throws EscrowError ERR_ESCROW_SHARE */
export function receiptOfDrill(opened: OpenedSet, shares: readonly ShareFile[], at: number): EscrowReceipt {
  const { description, content } = opened;
  const keks = checksOf(content.keks);
  if (JSON.stringify(keks) !== JSON.stringify(description.keks))
    throw new EscrowError('ERR_ESCROW_SHARE', 'the keys in the escrow are not those that it names');
  const byName = [...shares].sort((a, b) => (a.name < b.name ? -1 : 1));
  const words: ReceiptWords = { set: description.set, at, officers: byName.map(({ name }) => name), keks };
  const text = textOf(words);
  return { ...words, signature: opened.prove(text), shares: byName.map((share) => proveShare(share, text)) };
}

/** What Security knows of a set: enough to check receipts. */
export type KnownSet = Pick<SetDescription, 'set' | 'threshold' | 'drillKey' | 'keks'> & {
  readonly officers: readonly { readonly name: string; readonly proofKey: string }[];
};

/** @throws EscrowError ERR_ESCROW_RECEIPT for a receipt that whoever has the shares of this set did not make */
export function checkEscrowReceipt(known: KnownSet, receipt: EscrowReceipt): void {
  const { set, officers, keks, signature, shares = [] } = receipt;
  const text = textOf(receipt);
  const proof = { text, signature };
  if (set !== known.set) throw refused('is of another set');
  const named = officers.map((name) => known.officers.find((one) => one.name === name));
  if (named.some((one) => one === undefined) || new Set(officers).size < officers.length)
    throw refused('names somebody else');
  if (keks === undefined) {
    const [officer, ...more] = named;
    if (!officer || more.length > 0 || !isProof(officer.proofKey, 'sallyport/1 escrow share', proof))
      throw refused('was not made with the share of this officer');
    return;
  }
  if (officers.length < known.threshold) throw refused('is of too few officers');
  if (!isProof(known.drillKey, 'sallyport/1 escrow drill', proof))
    throw refused('was not made with the shares of this set');
  const wereThere = named.every((one, i) =>
    isProof(one!.proofKey, 'sallyport/1 escrow share', { text, signature: shares[i] ?? '' }),
  );
  if (!wereThere || shares.length !== officers.length) throw refused('names officers whose shares were not there');
  if (JSON.stringify(keks) !== JSON.stringify(known.keks))
    throw refused('is of other keys than those that Security put in');
}

function refused(why: string): EscrowError {
  return new EscrowError('ERR_ESCROW_RECEIPT', `the receipt ${why}`);
}
