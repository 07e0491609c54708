/** Every way in which a peer's bytes can be wrong, one code per cause that a caller may act on. */
export type ChannelErrorCode =
  | 'ERR_CHANNEL_MESSAGE'
  | 'ERR_CHANNEL_VERSION'
  | 'ERR_CHANNEL_SUITE'
  | 'ERR_CHANNEL_HANDSHAKE'
  | 'ERR_CHANNEL_SEAL'
  | 'ERR_CHANNEL_OPEN'
  | 'ERR_CHANNEL_EXHAUSTED'
  | 'ERR_CHANNEL_CBOR'
  | 'ERR_CHANNEL_FRAME'
  | 'ERR_CHANNEL_FLOW'
  | 'ERR_CHANNEL_LIMIT'
  | 'ERR_CHANNEL_HTTP'
  | 'ERR_CHANNEL_HTTP_REFUSED'
  | 'ERR_CHANNEL_CONTEXT'
  | 'ERR_CHANNEL_LINK'
  | 'ERR_CHANNEL_CLOSED';

/**
 * What this library throws when a peer's input is refused.
 * The message never holds a secret or the peer's bytes. Misuse by our own code is a TypeError instead.
 */
export class ChannelError extends Error {
  /** Which of the ways it is. */
  readonly code: ChannelErrorCode;
  /** True when what was said is well-formed and larger than a limit, which the message names. */
  readonly tooLarge: boolean;

  /** `message` holds neither a secret nor bytes of the peer. */
  constructor(code: ChannelErrorCode, message: string, options: ErrorOptions & { readonly tooLarge?: boolean } = {}) {
    super(message, options);
    this.name = 'ChannelError';
    this.code = code;
    this.tooLarge = options.tooLarge ?? false;
  }
}

/** Throws a ChannelError unless the condition holds. */
export function demand(condition: boolean, code: ChannelErrorCode, message: string): asserts condition {
  if (!condition) throw new ChannelError(code, message);
}
