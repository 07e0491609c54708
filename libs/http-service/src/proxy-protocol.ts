import type { Server, Socket } from 'node:net';
import { type AddressSet, parseAddress } from '@sallyport/settings';

/** How long a balancer may take for its header, ms. */
const HEADER_TIMEOUT_MS = 5_000;
const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const HEAD_BYTES = 16;
/** Addresses and what balancers like to add; the protocol allows 64 KiB. */
const MAX_BYTES = HEAD_BYTES + 2_048;
const LOCAL = 0x20;
const PROXIED = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;

/** Who connects, as the balancer saw it. */
export interface ProxiedPeer {
  /** `unknown` where the balancer does not say: whoever connects is not where the balancer is. */
  readonly address: string;
  /** Undefined with an unknown address. */
  readonly port: number | undefined;
}

const UNKNOWN = 'unknown';

/** The header as far as it came: not all of it yet, not one, or who connects and where what follows begins. */
export type ProxyHeader = 'more' | 'malformed' | { readonly peer: ProxiedPeer | undefined; readonly bytes: number };

/**
 * Decodes a header of the PROXY protocol, version 2 (haproxy/doc/proxy-protocol.txt, section 2.2):
 *
 *     signature(12) | version and command u8 | family and transport u8 | length u16 | source, destination | ports u16 u16 | TLVs
 *
 * `peer` is undefined for the balancer's own connections (LOCAL); for families that have no address of a device its address is unknown.
 */
export function decodeProxyHeader(bytes: Buffer): ProxyHeader {
  const begun = bytes.subarray(0, SIGNATURE.length);
  if (!begun.equals(SIGNATURE.subarray(0, begun.length))) return 'malformed';
  if (bytes.length < HEAD_BYTES) return 'more';
  const command = bytes[12]!;
  const total = HEAD_BYTES + bytes.readUInt16BE(14);
  if ((command !== LOCAL && command !== PROXIED) || total > MAX_BYTES) return 'malformed';
  if (bytes.length < total) return 'more';
  if (command === LOCAL) return { peer: undefined, bytes: total };
  return readPeer(bytes.subarray(HEAD_BYTES, total), bytes[13]!, total);
}

function readPeer(body: Buffer, family: number, bytes: number): ProxyHeader {
  if (family === TCP4) {
    if (body.length < 12) return 'malformed';
    return { peer: { address: [...body.subarray(0, 4)].join('.'), port: body.readUInt16BE(8) }, bytes };
  }
  if (family === TCP6) {
    if (body.length < 36) return 'malformed';
    const groups = Array.from({ length: 8 }, (_, i) => body.readUInt16BE(2 * i).toString(16));
    return { peer: { address: parseAddress(groups.join(':'))!, port: body.readUInt16BE(32) }, bytes };
  }
  return { peer: { address: UNKNOWN, port: undefined }, bytes };
}

/**
 * Makes a listener take the address of devices from the load balancers in front of it. A connection from one of `balancers`
 * has to begin with a header of the PROXY protocol, version 2, and is closed without one; from everybody else no header is
 * read, so nobody can pretend to be another. Call it before the server listens.
 */
export function takeAddressesFrom(balancers: AddressSet, server: Server): void {
  if (balancers.size === 0) return;
  const listeners = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const begin = (socket: Socket): void => {
    for (const listener of listeners) listener.call(server, socket);
  };
  server.on('connection', (socket: Socket) => {
    if (!balancers.has(socket.remoteAddress ?? '')) return begin(socket);
    readHeader(socket, begin);
  });
}

function readHeader(socket: Socket, begin: (socket: Socket) => void): void {
  let got = Buffer.alloc(0);
  const drop = (): void => void socket.destroy();
  const timer = setTimeout(drop, HEADER_TIMEOUT_MS);
  const stop = (): void => {
    clearTimeout(timer);
    socket.off('readable', take).off('error', drop).off('close', stop);
  };
  // Not by 'data': a socket that flows would lose what stands behind the header before TLS asks for it.
  const take = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    got = Buffer.concat([got, chunk]);
    const header = decodeProxyHeader(got);
    if (header === 'more') return;
    stop();
    if (header === 'malformed') return drop();
    if (header.peer) pretend(socket, header.peer);
    if (got.length > header.bytes) socket.unshift(got.subarray(header.bytes));
    begin(socket);
  };
  socket.on('readable', take).on('error', drop).on('close', stop);
}

/** What the socket, and a TLS socket over it, gives as its peer from now on: both ask the handle. */
function pretend(socket: Socket, { address, port }: ProxiedPeer): void {
  // Of several that nobody knows each keeps the port of its own.
  const { remotePort } = socket;
  // Node's types do not name what they keep to themselves.
  const { _handle: handle } = socket as unknown as { _handle: { getpeername: (out: object) => number } | null };
  if (!handle) return;
  handle.getpeername = (out) => {
    Object.assign(out, { address, port: port ?? remotePort, family: address.includes(':') ? 'IPv6' : 'IPv4' });
    return 0;
  };
  // Node remembers the first answer.
  (socket as unknown as { _peername: unknown })._peername = undefined;
}
