/**
 * Why an escrow gives nothing. `OFFICER`: no officer's file, or one officer twice. `PASSPHRASE`: it does not open the identity.
 * `SHARE`: it is no share, was altered, or is for another officer. `SET`: it belongs to another set than the others. `TWICE`: the
 * same share was given more than once. `FEW`: fewer than are needed. `RECEIPT`: a receipt that counts for nothing.
 */
export type EscrowErrorCode =
  | 'ERR_ESCROW_OFFICER'
  | 'ERR_ESCROW_PASSPHRASE'
  | 'ERR_ESCROW_SHARE'
  | 'ERR_ESCROW_SET'
  | 'ERR_ESCROW_TWICE'
  | 'ERR_ESCROW_FEW'
  | 'ERR_ESCROW_RECEIPT';

/** What making and opening an escrow throws. The message names officer and set, never what a share holds. */
export class EscrowError extends Error {
  readonly code: EscrowErrorCode;

  constructor(code: EscrowErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EscrowError';
    this.code = code;
  }
}
