/** Why a directory could not do what it was asked for. */
export type DirectoryErrorCode =
  | 'ERR_DIRECTORY_UNREACHABLE'
  | 'ERR_DIRECTORY_CREDENTIALS'
  | 'ERR_DIRECTORY_ANSWER'
  | 'ERR_DIRECTORY_SETTINGS'
  | 'ERR_DIRECTORY_REFUSED';

/**
 * What connectors throw. `UNREACHABLE` means "later", never "wrong". `REFUSED` names in `reason` which check of a sign-in
 * failed. The message is for operators; it holds no secret.
 */
export class DirectoryError extends Error {
  readonly code: DirectoryErrorCode;
  readonly reason: string;

  constructor(code: DirectoryErrorCode, message: string, options: ErrorOptions & { reason?: string } = {}) {
    super(message, options);
    this.name = 'DirectoryError';
    this.code = code;
    this.reason = options.reason ?? '';
  }
}
