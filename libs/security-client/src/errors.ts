/** Why Security did not do what was asked. Unreachable is never refused. */
export type SecurityClientErrorCode =
  | 'ERR_SECURITY_UNREACHABLE'
  | 'ERR_SECURITY_REFUSED'
  | 'ERR_SECURITY_ANSWER'
  | 'ERR_SECURITY_TOKEN';

/** What the Proxy's client of Security throws. */
export class SecurityClientError extends Error {
  readonly code: SecurityClientErrorCode;

  constructor(code: SecurityClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SecurityClientError';
    this.code = code;
  }
}
