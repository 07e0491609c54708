/**
 * How a target fails. `GONE`: it does not answer, or is not where it was. `FULL`, `READ_ONLY`, `DENIED`: it takes nothing more,
 * for that reason. `SLOW`: it took longer than it may. `MISSING`: it answered, and has no such object. `EXISTS`: there is one
 * already, which stays. `DAMAGED`: what it gives is not what it was given. Only `MISSING` ever means "not there".
 */
export type TargetErrorCode =
  | 'ERR_TARGET_GONE'
  | 'ERR_TARGET_FULL'
  | 'ERR_TARGET_READ_ONLY'
  | 'ERR_TARGET_DENIED'
  | 'ERR_TARGET_SLOW'
  | 'ERR_TARGET_MISSING'
  | 'ERR_TARGET_EXISTS'
  | 'ERR_TARGET_DAMAGED';

/** What every target throws. The message names target and object, never a credential. */
export class TargetError extends Error {
  readonly code: TargetErrorCode;

  constructor(code: TargetErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TargetError';
    this.code = code;
  }
}

/**
 * Why an export is refused. `FORMAT`: of a format that this version does not read. `SCHEMA`: of a newer version of the product.
 * `MANIFEST`: its manifest is malformed or was changed. `REALM`: it is another realm's. `KEK`: made with key-encryption keys that
 * are not at hand. `IDENTITY`: it is not for this identity, or that is none. `RECIPIENT`: nobody to encrypt to. `DAMAGED`: its
 * data is not what its manifest says. `UNSOUND`: it is what was exported, but the realm in it does not hold together. `RECEIPT`:
 * a receipt that counts for nothing. `SPOOL`: there is no room for it where it is made.
 */
export type BackupErrorCode =
  | 'ERR_BACKUP_FORMAT'
  | 'ERR_BACKUP_SCHEMA'
  | 'ERR_BACKUP_MANIFEST'
  | 'ERR_BACKUP_REALM'
  | 'ERR_BACKUP_KEK'
  | 'ERR_BACKUP_IDENTITY'
  | 'ERR_BACKUP_RECIPIENT'
  | 'ERR_BACKUP_DAMAGED'
  | 'ERR_BACKUP_UNSOUND'
  | 'ERR_BACKUP_RECEIPT'
  | 'ERR_BACKUP_SPOOL';

/** What reading and making exports throws. The message names export and part, never what is inside. */
export class BackupError extends Error {
  readonly code: BackupErrorCode;

  constructor(code: BackupErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackupError';
    this.code = code;
  }
}
