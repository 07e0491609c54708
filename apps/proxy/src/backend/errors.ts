import type { BackendReason } from '@sallyport/security-api';

/**
 * Why a backend gave no good answer. With `UNREACHABLE`, `BUSY` and `ADDRESS` certainly nothing was sent to it, with `REFUSED` and
 * `PROTOCOL` it has said that it took nothing.
 */
export type BackendErrorCode =
  | 'ERR_BACKEND_ADDRESS'
  | 'ERR_BACKEND_UNREACHABLE'
  | 'ERR_BACKEND_BUSY'
  | 'ERR_BACKEND_REFUSED'
  | 'ERR_BACKEND_PROTOCOL'
  | 'ERR_BACKEND_TIMEOUT'
  | 'ERR_BACKEND_CLOSED'
  | 'ERR_BACKEND_RESPONSE'
  | 'ERR_BACKEND_STALLED'
  | 'ERR_BACKEND_ABORTED';

const REASONS: Readonly<Record<BackendErrorCode, BackendReason | undefined>> = {
  ERR_BACKEND_ADDRESS: 'network',
  ERR_BACKEND_UNREACHABLE: 'port',
  ERR_BACKEND_BUSY: 'busy',
  ERR_BACKEND_REFUSED: 'closed',
  ERR_BACKEND_PROTOCOL: 'protocol',
  ERR_BACKEND_TIMEOUT: 'time',
  ERR_BACKEND_CLOSED: 'closed',
  ERR_BACKEND_RESPONSE: 'protocol',
  ERR_BACKEND_STALLED: undefined,
  ERR_BACKEND_ABORTED: undefined,
};

/** More of an error. `words` are for devices: never a name or an address of the intranet. */
export interface BackendErrorOptions extends ErrorOptions {
  readonly reason?: BackendReason;
  readonly words?: string;
}

/** An error of a backend or of the way to it. */
export class BackendError extends Error {
  readonly code: BackendErrorCode;
  /** Undefined when it is not the backend's doing. */
  readonly reason: BackendReason | undefined;
  /** What a device may be told instead of the words for the reason. */
  readonly words: string | undefined;

  constructor(code: BackendErrorCode, message: string, options: BackendErrorOptions = {}) {
    super(message, options);
    this.name = 'BackendError';
    this.code = code;
    this.words = options.words;
    this.reason = options.reason ?? REASONS[code];
  }
}

/** Nothing was sent to the backend, because there is no connection. */
export function unreachable(reason: BackendError['reason'], message: string, cause?: unknown): BackendError {
  return new BackendError('ERR_BACKEND_UNREACHABLE', message, {
    ...(reason === undefined ? {} : { reason }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** An answer breaks a rule: a device is told which. */
export function invalidAnswer(rule: string): BackendError {
  return new BackendError('ERR_BACKEND_RESPONSE', rule, { words: `its answer is not valid: ${rule}` });
}

const WORDS: Readonly<Record<BackendReason, string>> = {
  name: 'its name is not known',
  port: 'it takes no connections',
  network: 'it lies in no network that is allowed for it',
  certificate: 'its certificate is not trusted',
  protocol: 'it speaks another protocol',
  time: 'it does not answer in time',
  closed: 'it closed the connection',
  busy: 'all its connections are taken',
};

/** A time limit was met: a device is told which. */
export function tooLate(code: 'ERR_BACKEND_TIMEOUT' | 'ERR_BACKEND_STALLED', words: string): BackendError {
  return new BackendError(code, words, { words });
}

/** What a device may be told of a failure: the limit or the reason, never a name or an address of the intranet. */
export function wordsOf({ words, reason }: Pick<BackendError, 'words' | 'reason'>): string | undefined {
  return words ?? (reason && WORDS[reason]);
}
