import { readFileSync } from 'node:fs';
import { isIPv4, type Socket } from 'node:net';

/** Which program of this machine a local connection comes from. */
export type LocalPeer = 'same-user' | 'other-user' | 'unknown';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

/**
 * Says whether a loopback connection was made by the user that this process runs as; `unknown` where the system does not tell. The
 * kernel lists the sockets of this machine with their owners (proc(5), /proc/net/tcp).
 */
export function localPeerOf(socket: LocalSocket, read: (file: string) => string = readTable): LocalPeer {
  const uid = process.getuid?.();
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (uid === undefined || localPort === undefined || remotePort === undefined) return 'unknown';
  const [mine, theirs] = [
    { address: localAddress ?? '', port: localPort },
    { address: remoteAddress ?? '', port: remotePort },
  ];
  // Reading a table costs the kernel milliseconds, however few sockets there are: the second one only when it is needed.
  for (const file of TABLES) {
    const owner = ownerIn(read(file), theirs, mine);
    if (owner !== undefined) return owner === uid ? 'same-user' : 'other-user';
  }
  return 'unknown';
}

/** What of a socket says which connection it is. */
export type LocalSocket = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>;

/** One end of a connection. */
export interface ConnectionEnd {
  readonly address: string;
  readonly port: number;
}

/**
 * User of the socket at `end` that is connected to `peer`, by the text of one table. All four parts have to fit: another user may
 * take the same port of another loopback address while a connection of ours stands.
 */
export function ownerIn(table: string, end: ConnectionEnd, peer: ConnectionEnd): number | undefined {
  const peers = writtenAs(peer);
  for (const local of writtenAs(end)) {
    for (const remote of peers) {
      const owner = ownerAt(table, ` ${local} ${remote} `);
      if (owner !== undefined) return owner;
    }
  }
  return undefined;
}

/** The table has a line for every socket of the machine: they are looked through as text, and only one that fits is read. */
function ownerAt(table: string, ends: string): number | undefined {
  for (let at = table.indexOf(ends); at >= 0; at = table.indexOf(ends, at + 1)) {
    const end = table.indexOf('\n', at);
    const line = table.slice(table.lastIndexOf('\n', at) + 1, end < 0 ? undefined : end);
    const [, , , , , , , uid, , inode] = line.trim().split(/\s+/);
    // A socket that its program has closed has neither a file nor an owner any more: it would read as the superuser's.
    if (uid !== undefined && inode !== undefined && inode !== '0') return Number(uid);
  }
  return undefined;
}

/** How the tables write an end: a little-endian word and a port, also mapped into IPv6. Nothing but IPv4 loopback is looked for. */
function writtenAs({ address, port }: ConnectionEnd): readonly string[] {
  const bytes = address
    .replace(/^::ffff:/i, '')
    .split('.')
    .map(Number);
  if (!isIPv4(bytes.join('.')) || bytes[0] !== 127) return [];
  const word = hex(bytes[3]! * 2 ** 24 + bytes[2]! * 2 ** 16 + bytes[1]! * 2 ** 8 + bytes[0]!, 8);
  return [`${word}:${hex(port, 4)}`, `0000000000000000FFFF0000${word}:${hex(port, 4)}`];
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

function readTable(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
