import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { crc32 } from 'node:zlib';
import { AUTHORITY, content, type Done, type Lane, type LaneKind, NO_ROOM, PATHS, SMALL_BYTES } from './lane.ts';

type HttpKind = Extract<LaneKind, { kind: 'http' }>;

const SMALL = content(SMALL_BYTES);
const UPLOAD_PART = content(65_536);
const HEAD_END = Buffer.from('\r\n\r\n');

/** One HTTP/1.1 connection, with one request at a time. */
class Connection {
  readonly #socket: Socket;
  #expecting: { readonly done: Done; readonly take: (part: Buffer, at: number) => boolean; length: number } | undefined;
  #head: Buffer[] = [];
  #received = -1;
  #problem: string | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (data: Buffer) => this.#read(data));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#finish('the connection was closed'));
  }

  get idle(): boolean {
    return this.#expecting === undefined;
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  /** Sends a request whose answer is checked part by part. */
  ask(request: string, take: (part: Buffer, at: number) => boolean, done: Done): void {
    if (this.closed) return done('the connection was closed');
    this.#expecting = { done, take, length: -1 };
    this.#socket.write(request, 'latin1');
  }

  /** Sends part of a body; resolves when there is room for more. */
  send(part: Buffer): Promise<void> | undefined {
    if (this.#socket.write(part)) return undefined;
    return new Promise((resolve) => this.#socket.once('drain', resolve));
  }

  end(): void {
    this.#expecting = undefined;
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    if (this.#received >= 0) return this.#body(data);
    const all = this.#head.length === 0 ? data : Buffer.concat([...this.#head, data]);
    const end = all.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = [all];
      return;
    }
    this.#head = [];
    const head = all.toString('latin1', 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (!this.#expecting || length === undefined) return this.#finish('an answer without content-length');
    if (!head.startsWith('HTTP/1.1 200 ')) this.#problem = `a wrong answer: ${head.slice(9, 12)}`;
    this.#expecting.length = Number(length);
    this.#received = 0;
    this.#body(all.subarray(end + 4));
  }

  #body(part: Buffer): void {
    const expecting = this.#expecting;
    if (!expecting) return;
    if (part.length > 0 && !this.#problem && !expecting.take(part, this.#received)) this.#problem = 'wrong bytes';
    this.#received += part.length;
    if (this.#received >= expecting.length) this.#finish(this.#problem);
  }

  #finish(problem: string | undefined): void {
    const expecting = this.#expecting;
    this.#expecting = undefined;
    this.#received = -1;
    this.#problem = undefined;
    expecting?.done(problem);
  }
}

/** One user's keep-alive connections to an HTTP(S) gateway, each request with the user's token. */
export class HttpLane implements Lane {
  readonly #connections: Connection[];
  readonly #head: string;

  private constructor(connections: Connection[], token: string) {
    this.#connections = connections;
    this.#head = `host: ${AUTHORITY}\r\naccept: */*\r\nuser-agent: bench\r\nauthorization: Bearer ${token}\r\n`;
  }

  static async open(kind: HttpKind, token: string, session?: Buffer): Promise<HttpLane> {
    const sockets = await Promise.all(Array.from({ length: kind.connections }, () => connected(kind, session)));
    return new HttpLane(
      sockets.map((socket) => new Connection(socket)),
      token,
    );
  }

  get(done: Done): void {
    const free = this.#connections.find(({ idle }) => idle);
    if (!free) return done(NO_ROOM);
    const compare = (part: Buffer, at: number): boolean => SMALL.subarray(at, at + part.length).equals(part);
    free.ask(`GET ${PATHS.small} HTTP/1.1\r\n${this.#head}\r\n`, compare, done);
  }

  transfer(direction: 'down' | 'up', bytes: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let crc = 0;
      let text = '';
      const done: Done = (problem) => {
        if (problem) reject(new Error(problem));
        else resolve(direction === 'down' ? crc : Number(text));
      };
      // Small requests may be under way on others.
      const connection = this.#connections.find(({ idle }) => idle);
      if (!connection) return reject(new Error(NO_ROOM));
      if (direction === 'up') {
        const take = (part: Buffer): boolean => {
          text += part.toString('latin1');
          return true;
        };
        const head = `POST ${PATHS.upload} HTTP/1.1\r\n${this.#head}content-length: ${bytes}\r\n\r\n`;
        connection.ask(head, take, done);
        void sendAll(connection, bytes);
        return;
      }
      const take = (part: Buffer): boolean => {
        crc = crc32(part, crc);
        return true;
      };
      connection.ask(`GET ${PATHS.large} HTTP/1.1\r\n${this.#head}\r\n`, take, done);
    });
  }

  close(): void {
    for (const connection of this.#connections) connection.end();
  }
}

async function sendAll(connection: Connection, bytes: number): Promise<void> {
  for (let left = bytes; left > 0 && !connection.closed; left -= UPLOAD_PART.length) {
    await connection.send(UPLOAD_PART.subarray(0, Math.min(left, UPLOAD_PART.length)));
  }
}

/** Connects; with a TLS session it is resumed (RFC 8446, section 2.2). */
function connected(kind: HttpKind, session?: Buffer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const ready = (): void => {
      socket.removeListener('error', reject);
      resolve(socket);
    };
    const address = { host: '127.0.0.1', port: kind.port };
    const socket: Socket = kind.ca
      ? connectTls({ ...address, ca: kind.ca, servername: 'localhost', ...(session ? { session } : {}) }, ready)
      : connectTcp(address, ready);
    socket.once('error', reject);
  });
}

/** One TLS handshake, resumed with a ticket, and its end. */
export async function handshake(kind: HttpKind, ticket?: Buffer): Promise<void> {
  const socket = await connected(kind, ticket);
  if (ticket && !(socket as TLSSocket).isSessionReused()) throw new Error('the TLS session was not resumed');
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.destroy();
  });
}

/** A ticket for resumption: it comes behind the handshake, so something is asked for and awaited. */
export async function ticketOf(kind: HttpKind): Promise<Buffer> {
  const socket = await connected(kind);
  return new Promise((resolve, reject) => {
    let ticket: Buffer | undefined;
    socket.on('session', (given: Buffer) => {
      ticket = given;
    });
    socket.once('error', reject);
    socket.once('data', () => socket.destroy());
    socket.once('close', () => (ticket ? resolve(ticket) : reject(new Error('the server gave no ticket'))));
    socket.write(`HEAD ${PATHS.small} HTTP/1.1\r\nhost: ${AUTHORITY}\r\nconnection: close\r\n\r\n`);
  });
}
