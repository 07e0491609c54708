export { EscrowError, type EscrowErrorCode } from './errors.ts';
export { formatOfficer, makeOfficer, type NewOfficer, type Officer, openIdentity, parseOfficer } from './officer.ts';
export { checkEscrowReceipt, type EscrowReceipt, type KnownSet, receiptOfDrill, receiptOfShare } from './receipt.ts';
export {
  combineShares,
  type EscrowContent,
  type EscrowSet,
  makeSet,
  type OpenedSet,
  type SetDescription,
  type SetKek,
  type SetOfficer,
  type SetOrder,
  type ShareFile,
} from './set.ts';
export { openShare } from './share.ts';
