import type { Field } from '@sallyport/channel';

/**
 * Schemes that sign in the connection, not the request (RFC 4559 for Negotiate; NTLM in the same way): from then on every
 * request on that connection is the user's. Found wherever they stand: too often is harmless.
 */
const BOUND_SCHEMES = /(?<![a-z0-9-])(?:ntlm|negotiate|kerberos|nego2|pku2u|spnego)(?![a-z0-9-])/i;
const BOUND_WITH_TOKEN = /(?<![a-z0-9-])(?:ntlm|negotiate|kerberos|nego2|pku2u|spnego)[ \t]+[^\s,]/i;
const BOUND_TOKEN = /(?:ntlm|negotiate|kerberos|nego2|pku2u|spnego)[ \t]+([A-Za-z0-9+/]{12,})/i;

/**
 * What a request does to sign its connection in: nothing, the first message of a login, a later one, or one of which that
 * cannot be told.
 */
export type ConnectionLoginStep = 'none' | 'first' | 'later' | 'either';

/** Which step of a login a request takes by its fields. */
export function loginStep(fields: readonly Field[]): ConnectionLoginStep {
  let step: ConnectionLoginStep = 'none';
  for (const [name, value] of fields) {
    if (name === 'authorization' && BOUND_SCHEMES.test(value)) step = stepOf(BOUND_TOKEN.exec(value)?.[1]);
  }
  return step;
}

/** NTLMSSP names its messages; SPNEGO begins with an application tag, and goes on without one (RFC 4178). */
function stepOf(token: string | undefined): ConnectionLoginStep {
  const bytes = Buffer.from(token?.slice(0, 16) ?? '', 'base64');
  if (bytes.toString('latin1', 0, 8) === 'NTLMSSP\0') return bytes[8] === 1 ? 'first' : 'later';
  if (bytes[0] === 0x60) return 'first';
  return bytes[0] === 0xa1 ? 'later' : 'either';
}

/** What a response says of a login of its connection: nothing, that one is wanted, or the next message of one. */
export function loginAnswer(name: string, value: string): 'none' | 'wanted' | 'next' {
  if (name !== 'www-authenticate' && name !== 'proxy-authenticate') return 'none';
  if (!BOUND_SCHEMES.test(value)) return 'none';
  return BOUND_WITH_TOKEN.test(value) ? 'next' : 'wanted';
}
