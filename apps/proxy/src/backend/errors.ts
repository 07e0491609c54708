/** Why a backend gave no good answer. With `UNREACHABLE`, `BUSY` and `ADDRESS` certainly nothing was sent to it. */
export type BackendErrorCode =
  | 'ERR_BACKEND_ADDRESS'
  | 'ERR_BACKEND_UNREACHABLE'
  | 'ERR_BACKEND_BUSY'
  | 'ERR_BACKEND_TIMEOUT'
  | 'ERR_BACKEND_CLOSED'
  | 'ERR_BACKEND_RESPONSE'
  | 'ERR_BACKEND_ABORTED';

/** An error of a backend or of the way to it. */
export class BackendError extends Error {
  readonly code: BackendErrorCode;

  constructor(code: BackendErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackendError';
    this.code = code;
  }
}
