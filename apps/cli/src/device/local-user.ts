import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

/** Which program of this machine a local connection comes from. */
export type LocalPeer = 'same-user' | 'other-user' | 'unknown';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

/**
 * Says whether a loopback connection was made by the user that this process runs as; `unknown` where the system does not tell. The
 * kernel lists the sockets of this machine with their owners (proc(5), /proc/net/tcp).
 */
export function localPeerOf(socket: Socket, read: (file: string) => string = readTable): LocalPeer {
  const uid = process.getuid?.();
  const { localPort, remotePort } = socket;
  if (uid === undefined || localPort === undefined || remotePort === undefined) return 'unknown';
  const owner = TABLES.map((file) => ownerIn(read(file), remotePort, localPort)).find((found) => found !== undefined);
  if (owner === undefined) return 'unknown';
  return owner === uid ? 'same-user' : 'other-user';
}

/** User of the socket that is bound to `port` and connected to `peerPort`, by the text of one table. */
export function ownerIn(table: string, port: number, peerPort: number): number | undefined {
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', remote = '', , , , , uid, , inode] = line.trim().split(/\s+/);
    // A socket that its program has closed has neither a file nor an owner any more: it would read as the superuser's.
    if (uid === undefined || inode === undefined || inode === '0') continue;
    if (portOf(local) === port && portOf(remote) === peerPort && isLoopback(local) && isLoopback(remote))
      return Number(uid);
  }
  return undefined;
}

function portOf(address: string): number {
  return Number.parseInt(address.slice(address.lastIndexOf(':') + 1), 16);
}

/** 127.0.0.0/8, as a little-endian word, also mapped into IPv6. */
function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':'));
  return host.endsWith('7F') && (host.length === 8 || host.startsWith('0000000000000000FFFF0000'));
}

function readTable(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
