import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type LocalPeer, LocalPeers } from './local-user.ts';

/** Why somebody may not use the forward proxy: the status to answer with, and words. */
export interface ForwardRefusal {
  readonly status: 403 | 407;
  readonly text: string;
}

/** Who may use the session of this user. */
export interface LocalAccess {
  /** True when a password is asked for, instead of the user of the program. */
  readonly byPassword: boolean;
  /** Why a request may not pass, by its program's user or by its password. */
  ofRequest(request: IncomingMessage): Promise<ForwardRefusal | undefined>;
  /** Why a connection may not pass, by its program's user alone. It may be over by then. */
  ofSocket(socket: Socket): Promise<ForwardRefusal | undefined>;
  /** True for the password. */
  ofPassword(text: string): boolean;
}

/**
 * Programs of the same user may; with a password whoever knows it, and nobody else. Where the system does not tell whose program it is,
 * only a password helps.
 */
export function forwardAccess(
  password: string | undefined,
  peerOf: (socket: Socket) => LocalPeer | Promise<LocalPeer> = asTheKernelSays(),
): LocalAccess {
  const known = new WeakMap<Socket, Promise<ForwardRefusal | undefined>>();
  const ofSocket = (socket: Socket): Promise<ForwardRefusal | undefined> => {
    const found = known.get(socket) ?? Promise.resolve(peerOf(socket)).then(refusalOf);
    known.set(socket, found);
    return found;
  };
  const ofPassword = (text: string): boolean =>
    password !== undefined && timingSafeEqual(digest(text), digest(password));
  return {
    byPassword: password !== undefined,
    ofSocket,
    ofPassword,
    ofRequest: async (request) => {
      if (password === undefined) return ofSocket(request.socket);
      return ofPassword(passwordIn(request)) ? undefined : PASSWORD_NEEDED;
    },
  };
}

function asTheKernelSays(): (socket: Socket) => LocalPeer | Promise<LocalPeer> {
  const peers = new LocalPeers();
  return (socket) => peers.of(socket);
}

/** Password of a request in the way of RFC 9110, section 11.7.2 and RFC 7617; any user name. */
function passwordIn(request: IncomingMessage): string {
  const [, given = ''] = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(request.headers['proxy-authorization'] ?? '') ?? [];
  const text = Buffer.from(given, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

const PASSWORD_NEEDED: ForwardRefusal = {
  status: 407,
  text: 'this forward proxy wants the password that it printed at its start',
};

function refusalOf(peer: LocalPeer): ForwardRefusal | undefined {
  if (peer === 'same-user') return undefined;
  const whose =
    peer === 'other-user'
      ? 'this forward proxy belongs to another user of this machine'
      : 'this system does not tell whose program asks';
  return { status: 403, text: `${whose}; its user can share it: sallyport device forward --password` };
}
