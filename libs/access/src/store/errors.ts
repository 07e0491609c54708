/** Why an operation of the rules was refused. Expected absence is `undefined`, not an error. */
export type AccessErrorCode =
  | 'ERR_ACCESS_NOT_FOUND'
  | 'ERR_ACCESS_CONFLICT'
  | 'ERR_ACCESS_INVALID'
  | 'ERR_ACCESS_UNWRAP'
  | 'ERR_ACCESS_FORGED'
  | 'ERR_ACCESS_KEK'
  | 'ERR_ACCESS_LOST'
  | 'ERR_ACCESS_AUDIT_BROKEN';

/** What the rules throw when a request cannot be carried out. The message names things, never secrets. */
export class AccessError extends Error {
  readonly code: AccessErrorCode;

  constructor(code: AccessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AccessError';
    this.code = code;
  }
}

/**
 * How a store fails. `UNAVAILABLE`: nothing was done. `UNKNOWN`: the commit may or may not have happened; repeat with the
 * same ids. `INVALID`: it has answered, and cannot hold a value that was given. `FENCED`: this database gives nothing any
 * more, or is not the one that this process began with; nothing was done. None of them ever means "not found".
 */
export type StoreErrorCode =
  | 'ERR_STORE_UNAVAILABLE'
  | 'ERR_STORE_UNKNOWN'
  | 'ERR_STORE_CONFLICT'
  | 'ERR_STORE_INVALID'
  | 'ERR_STORE_FENCED'
  | 'ERR_STORE_SCHEMA';

/** What every implementation of the store port throws. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}
