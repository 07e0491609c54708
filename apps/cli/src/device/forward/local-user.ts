import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';

/** Which program of this machine a local connection comes from; `gone` when none has its other end open. */
export type LocalPeer = 'same-user' | 'other-user' | 'gone' | 'unknown';

const TABLES = { tcp: '/proc/net/tcp', tcp6: '/proc/net/tcp6' } as const;
const SYN_SENT = '02';

/** After a look at the tables, no other one for so many times as long as it took, but at most for this long, ms. */
const REST = 9;
const MAX_REST_MS = 100;

interface Waiting {
  readonly ends: LocalSocket;
  readonly tell: (peer: LocalPeer) => void;
}

/**
 * Says whether loopback connections were made by the user that this process runs as; `unknown` where the system does not tell. The
 * kernel lists the sockets of this machine with their owners (proc(5), /proc/net/tcp). A look at them costs it milliseconds, however
 * few there are: after each there is a rest, and all connections that come meanwhile share the next one, so that whoever opens
 * many takes a tenth of this process and no more.
 */
export class LocalPeers {
  readonly #read: (file: string) => string;
  #waiting: Waiting[] = [];
  #resting = false;

  constructor(read: (file: string) => string = readTable) {
    this.#read = read;
  }

  /** Whose a connection is: at once unless looks rest. Its program may have ended it meanwhile. */
  of(ends: LocalSocket): LocalPeer | Promise<LocalPeer> {
    if (this.#resting) return new Promise((tell) => this.#waiting.push({ ends, tell }));
    return this.#look([ends])[0]!;
  }

  #look(asked: readonly LocalSocket[]): readonly LocalPeer[] {
    const started = performance.now();
    const peers = this.#peersOf(asked);
    this.#resting = true;
    setTimeout(() => this.#endRest(), Math.min(REST * (performance.now() - started), MAX_REST_MS)).unref();
    return peers;
  }

  #endRest(): void {
    this.#resting = false;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting.splice(0);
    const peers = this.#look(waiting.map(({ ends }) => ends));
    for (const [i, { tell }] of waiting.entries()) tell(peers[i]!);
  }

  /** The second table is only read when somebody is not in the first. */
  #peersOf(asked: readonly LocalSocket[]): readonly LocalPeer[] {
    const first = this.#read(TABLES.tcp);
    let second: string | undefined;
    return asked.map((ends) => {
      const found = peerIn(first, ends);
      if (found) return found;
      second ??= this.#read(TABLES.tcp6);
      const isTold = process.getuid !== undefined && first + second !== '';
      return peerIn(second, ends) ?? (isTold ? 'gone' : 'unknown');
    });
  }
}

function peerIn(table: string, ends: LocalSocket): LocalPeer | undefined {
  const uid = process.getuid?.();
  const { localAddress, localPort, remoteAddress, remotePort } = ends;
  if (uid === undefined || localPort === undefined || remotePort === undefined) return undefined;
  const mine = { address: localAddress ?? '', port: localPort };
  const owner = ownerIn(table, { address: remoteAddress ?? '', port: remotePort }, mine);
  if (owner === undefined) return undefined;
  return owner === uid ? 'same-user' : 'other-user';
}

/**
 * What of a socket says which connection it is. It is asked for behind a look at the tables: the system names no peer of a connection
 * that broke, whose ends may be those of somebody else's new one by then. So nobody may keep it from an earlier question.
 */
export interface LocalSocket {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

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
    const [, , , state, , , , uid, , inode] = line.trim().split(/\s+/);
    // Whoever only asks for a connection has none: the one that we have is that of a program which has given its port away.
    if (state === SYN_SENT) continue;
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
