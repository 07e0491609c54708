import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type LocalPeer, localPeerOf } from './local-user.ts';

/** Why somebody may not use the forward proxy: the status to answer with, and words. */
export interface Refusal {
  readonly status: 403 | 407;
  readonly text: string;
}

/**
 * Who may use the session of this user: programs of the same user; with a password, whoever knows it, and nobody else. Where the
 * system does not tell whose program it is, only a password helps.
 */
export function forwardAccess(
  password: string | undefined,
  peerOf: (request: IncomingMessage) => LocalPeer = ({ socket }) => localPeerOf(socket),
): (request: IncomingMessage) => Refusal | undefined {
  const known = new WeakMap<object, Refusal | undefined>();
  return (request) => {
    if (password !== undefined) return hasPassword(request, password) ? undefined : PASSWORD_NEEDED;
    if (!known.has(request.socket)) known.set(request.socket, refusalOf(peerOf(request)));
    return known.get(request.socket);
  };
}

/** Password of a request in the way of RFC 9110, section 11.7.2 and RFC 7617; any user name. */
function hasPassword(request: IncomingMessage, password: string): boolean {
  const [, given = ''] = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(request.headers['proxy-authorization'] ?? '') ?? [];
  const text = Buffer.from(given, 'base64').toString();
  return timingSafeEqual(digest(text.slice(text.indexOf(':') + 1)), digest(password));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

const PASSWORD_NEEDED: Refusal = {
  status: 407,
  text: 'this forward proxy wants the password that it printed at its start',
};

function refusalOf(peer: LocalPeer): Refusal | undefined {
  if (peer === 'same-user') return undefined;
  const whose =
    peer === 'other-user'
      ? 'this forward proxy belongs to another user of this machine'
      : 'this system does not tell whose program asks';
  return { status: 403, text: `${whose}; its user can share it: sallyport device forward --password` };
}
