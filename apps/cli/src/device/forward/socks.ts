import { isIPv4 } from 'node:net';
import { type Destination, readDestination } from './way.ts';

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const USER_AND_PASSWORD = 2;
const NONE_ACCEPTABLE = 0xff;
const PASSWORD_VERSION = 1;
const CONNECT = 1;

/** What a client is told of its request (RFC 1928, section 6). */
export const SOCKS_REPLIES = {
  succeeded: 0,
  failed: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  timedOut: 6,
  commandUnknown: 7,
  addressTypeUnknown: 8,
} as const;
export type SocksReply = keyof typeof SOCKS_REPLIES;

/** A client that speaks SOCKS, or tries to. */
export interface SocksClient {
  /** Just so many bytes. @throws Error when it ends before */
  read(count: number): Promise<Buffer>;
  write(bytes: Uint8Array): void;
}

/** Who may ask. */
export interface SocksAccess {
  /** Whether a password is asked for (RFC 1929); else whoever has come so far may go on. */
  readonly byPassword: boolean;
  ofPassword(text: string): boolean;
}

/** What a client asks for, or the refusal that it has been told. */
export type SocksRequest = { readonly destination: Destination } | { readonly refused: string };

/**
 * Reads what a client of SOCKS5 wants (RFC 1928): a connection to a host by its name, which is never resolved here, or by its address. Not
 * taken are other versions, other commands and clients without the password. Its request is still to be answered when this returns a
 * destination, and not when it returns a refusal.
 */
export async function readSocksRequest(client: SocksClient, access: SocksAccess): Promise<SocksRequest> {
  return (await greet(client, access)) ?? (await readRequest(client));
}

/** Answers a request (RFC 1928, section 6). The address that it was bound to is nobody's business. */
export function encodeSocksReply(reply: SocksReply): Buffer {
  return Buffer.from([VERSION, SOCKS_REPLIES[reply], 0, 1, 0, 0, 0, 0, 0, 0]);
}

async function greet(client: SocksClient, access: SocksAccess): Promise<{ refused: string } | undefined> {
  const [version = 0] = await client.read(1);
  if (version !== VERSION) return notSocks(client, version);
  const [count = 0] = await client.read(1);
  const methods = count === 0 ? Buffer.alloc(0) : await client.read(count);
  const method = access.byPassword ? USER_AND_PASSWORD : NO_AUTHENTICATION;
  if (!methods.includes(method)) {
    client.write(Buffer.from([VERSION, NONE_ACCEPTABLE]));
    return {
      refused: access.byPassword ? 'a client of SOCKS gave no password' : 'a client of SOCKS wants to give a password',
    };
  }
  client.write(Buffer.from([VERSION, method]));
  return access.byPassword ? checkPassword(client, access) : undefined;
}

/** Who takes this port for another kind of proxy is told, in the words of that. */
function notSocks(client: SocksClient, version: number): { refused: string } {
  const isHttp = version >= 0x41 && version <= 0x5a;
  if (isHttp)
    client.write(
      Buffer.from('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\nsallyport: this is a SOCKS5 port\n'),
    );
  return {
    refused: `a client of the SOCKS port speaks ${isHttp ? 'HTTP' : version === 4 ? 'SOCKS4' : 'something else'}`,
  };
}

/** User name, which may be any, and password (RFC 1929, section 2). */
async function checkPassword(client: SocksClient, access: SocksAccess): Promise<{ refused: string } | undefined> {
  const [version, userLength = 0] = await client.read(2);
  if (userLength > 0) await client.read(userLength);
  const [length = 0] = await client.read(1);
  const password = length === 0 ? '' : String(await client.read(length));
  const right = version === PASSWORD_VERSION && access.ofPassword(password);
  client.write(Buffer.from([PASSWORD_VERSION, right ? 0 : 1]));
  return right ? undefined : { refused: 'a client of SOCKS gave a wrong password' };
}

async function readRequest(client: SocksClient): Promise<SocksRequest> {
  const [version, command, , type = 0] = await client.read(4);
  const refuse = (reply: SocksReply, refused: string): SocksRequest => {
    client.write(encodeSocksReply(reply));
    return { refused };
  };
  if (version !== VERSION) return refuse('failed', 'a client of SOCKS sent a malformed request');
  const host = await readHost(client, type);
  if (host === undefined) return refuse('addressTypeUnknown', 'a client of SOCKS uses an unknown type of address');
  const port = (await client.read(2)).readUInt16BE();
  if (command !== CONNECT) return refuse('commandUnknown', 'SOCKS: only TCP connections go through the gateway');
  const destination = readDestination(`${host}:${port}`);
  return destination ? { destination } : refuse('notAllowed', 'a client of SOCKS asks for no host and port');
}

/** A host as it stands in an authority; undefined for an unknown type. */
async function readHost(client: SocksClient, type: number): Promise<string | undefined> {
  if (type === 1) return (await client.read(4)).join('.');
  if (type === 4) {
    const words = (await client.read(16)).toString('hex').match(/.{4}/g)!;
    return `[${words.join(':')}]`;
  }
  if (type !== 3) return undefined;
  const [length = 0] = await client.read(1);
  return length === 0 ? '' : (await client.read(length)).toString('latin1');
}

/** True for a destination that a client has looked up by itself: it should give names. */
export function isAddress({ host }: Destination): boolean {
  return host.startsWith('[') || isIPv4(host);
}
