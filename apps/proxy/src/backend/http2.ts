import { type ClientHttp2Session, connect } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { WIDEST_HEAD } from '@sallyport/channel';
import { type Guard, guardWith } from '@sallyport/telemetry';
import type { ConnectionOwner } from './connection.ts';
import { dial } from './dial.ts';
import { type BackendError, unreachable } from './errors.ts';
import { headLimitsOf } from './head-limits.ts';
import { Http1Connections } from './http1.ts';
import { Http2Lane, type LaneOwner } from './http2-lane.ts';
import type { ConnectionMaker, Making } from './pooled-connection.ts';
import type { BackendServer } from './server.ts';
import { timeLimitsOf } from './time-limits.ts';

/** Connections to one server that take new streams; of each so many at once, or fewer where the server says so. */
const MAX_SESSIONS = 16;
const MAX_STREAMS = 100;
/** What a stream may have on its way to us, and a connection in all. A stream that waits for its device keeps up to that. */
const STREAM_WINDOW = 128 * 1024;
const SESSION_WINDOW = 4 * 1024 * 1024;
const SESSION_MEMORY_MB = 64;
/** Fields that say what a message is (RFC 9113, section 8.3) are none of its fields. */
const PSEUDO_FIELDS = 8;
/**
 * After so many streams that we gave up a connection takes no more of them: servers end one on which many are (CVE-2023-44487), with what
 * others have on it.
 */
const MAX_GIVEN_UP = 50;
/** A connection without a stream is kept so long, ms. */
const KEEP_MS = 20_000;
/** A connection on which an answer was late must show a sign of life within this, ms. */
const ALIVE_MS = 5_000;

/** Makes places for streams on connections of HTTP/2 (RFC 9113); with `auto` connections of HTTP/1.1 where a server has no other. */
export class Http2Connections implements ConnectionMaker {
  readonly #server: BackendServer;
  readonly #owner: ConnectionOwner;
  readonly #sessions = new Set<Session>();
  readonly #waiting: Making[] = [];
  readonly #guard: Guard;
  #dialling = false;
  #closed = false;
  /** What a server has chosen that speaks HTTP/1.1 after all. */
  #old: Http1Connections | undefined;

  constructor(server: BackendServer, owner: ConnectionOwner) {
    this.#server = server;
    this.#owner = owner;
    this.#guard = guardWith((error) => owner.handlerFailed(error));
  }

  make(tell: Making): void {
    if (this.#old) return this.#old.make(tell);
    this.#waiting.push(tell);
    // Never before this returns: whoever asked is in the middle of something.
    queueMicrotask(this.#guard(() => this.#serve()));
  }

  sweep(now: number): void {
    for (const session of [...this.#sessions]) session.sweep(now);
  }

  close(): void {
    this.#closed = true;
    for (const session of [...this.#sessions]) session.close();
  }

  #serve(): void {
    for (let session = this.#free(); session && this.#waiting.length > 0; session = this.#free())
      this.#waiting.shift()!.connected(session.lane());
    if (this.#waiting.length > 0 && !this.#dialling && this.#open < MAX_SESSIONS) this.#dial();
  }

  /** Connections that may get a stream. Those that only end what they have are as many as that, and no more. */
  get #open(): number {
    let open = 0;
    for (const session of this.#sessions) if (!session.closing) open += 1;
    return open;
  }

  #free(): Session | undefined {
    for (const session of this.#sessions) if (session.hasRoom) return session;
    return undefined;
  }

  #dial(): void {
    this.#dialling = true;
    const protocols = this.#server.http === 'auto' ? ['h2', 'http/1.1'] : ['h2'];
    const connected = this.#guard((socket: Socket) => this.#adopt(socket));
    const failed = this.#guard((error: BackendError) => this.#failAll(error));
    dial(this.#server, { connected, failed }, { protocols });
  }

  #adopt(socket: Socket): void {
    if (this.#closed) {
      socket.destroy();
      return this.#failAll(unreachable('busy', 'nobody waits for it any more'));
    }
    const chosen = this.#server.url.startsWith('https:') ? (socket as TLSSocket).alpnProtocol : 'h2';
    if (chosen === 'h2') return this.#begin(socket);
    if (this.#server.http === 'auto') return this.#fallBack(socket);
    socket.destroy();
    this.#failAll(unreachable('protocol', 'it does not speak HTTP/2'));
  }

  /** The server speaks HTTP/1.1 only: so do we, from now on. */
  #fallBack(socket: Socket): void {
    this.#dialling = false;
    this.#old = new Http1Connections(this.#server, this.#owner);
    const first = this.#waiting.shift();
    if (first) first.connected(this.#old.adopt(socket));
    else socket.destroy();
    for (const tell of this.#waiting.splice(0)) this.#old.make(tell);
  }

  #begin(socket: Socket): void {
    const session = new Session(socket, {
      server: this.#server,
      owner: this.#owner,
      stands: this.#guard(() => {
        this.#dialling = false;
        this.#sessions.add(session);
        this.#serve();
      }),
      stillborn: this.#guard((error: BackendError) => this.#failAll(error)),
      room: this.#guard(() => this.#serve()),
      over: this.#guard(() => {
        this.#sessions.delete(session);
        this.#serve();
      }),
    });
  }

  #failAll(error: BackendError): void {
    this.#dialling = false;
    for (const tell of this.#waiting.splice(0)) tell.failed(error);
  }
}

interface SessionParts {
  readonly server: BackendServer;
  readonly owner: ConnectionOwner;
  /** The server has said that it speaks HTTP/2; nothing of a request was sent before. */
  stands(): void;
  /** It ended before that. */
  stillborn(error: BackendError): void;
  /** There may be room for one more stream. */
  room(): void;
  over(): void;
}

/** One connection of HTTP/2 with its streams. */
class Session implements LaneOwner {
  readonly session: ClientHttp2Session;
  readonly #parts: SessionParts;
  readonly #lanes = new Set<Http2Lane>();
  readonly #guard: Guard;
  /** Streams above this were not processed (RFC 9113, section 6.8); undefined while the server has not said goodbye. */
  lastStream: number | undefined;
  #stands = false;
  #closing = false;
  #givenUp = 0;
  #idleSince: number = performance.now();
  #timer: NodeJS.Timeout;

  constructor(socket: Socket, parts: SessionParts) {
    this.#parts = parts;
    this.#guard = guardWith((error) => {
      parts.owner.handlerFailed(error);
      this.session.destroy();
    });
    const heads = headLimitsOf(parts.server);
    this.session = connect('http://backend', {
      createConnection: () => socket,
      maxSessionMemory: SESSION_MEMORY_MB,
      peerMaxConcurrentStreams: MAX_STREAMS,
      maxHeaderListPairs: heads.fields + PSEUDO_FIELDS,
      maxSendHeaderBlockLength: WIDEST_HEAD.sectionBytes,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW,
        // Of one value the library itself takes as much as a device does, 65,536 bytes.
        maxHeaderListSize: heads.sectionBytes,
      },
    });
    const { connectMs } = timeLimitsOf(parts.server);
    this.#timer = setTimeout(() => this.session.destroy(), connectMs);
    this.#listen();
  }

  /** LaneOwner */
  get owner(): ConnectionOwner {
    return this.#parts.owner;
  }

  /** LaneOwner */
  get scheme(): string {
    return this.#parts.server.url.slice(0, this.#parts.server.url.indexOf(':'));
  }

  /** True when nothing begins on it any more. */
  get closing(): boolean {
    return this.#closing;
  }

  get hasRoom(): boolean {
    const { maxConcurrentStreams = MAX_STREAMS } = this.session.remoteSettings;
    return !this.#closing && this.#lanes.size < Math.min(maxConcurrentStreams, MAX_STREAMS);
  }

  lane(): Http2Lane {
    const lane = new Http2Lane(this, timeLimitsOf(this.#parts.server));
    this.#lanes.add(lane);
    return lane;
  }

  /** LaneOwner */
  leave(lane: Http2Lane): void {
    this.#lanes.delete(lane);
    if (this.#lanes.size === 0) this.#idleSince = performance.now();
    if (this.#closing && this.#lanes.size === 0) this.session.close();
    else this.#parts.room();
  }

  /** LaneOwner */
  gaveUp(): void {
    this.#givenUp += 1;
    if (this.#givenUp === MAX_GIVEN_UP) this.#takeNoMore();
  }

  /** LaneOwner: an answer was late. Nothing begins on the connection until it shows a sign of life; without one it ends. */
  doubt(): void {
    if (this.session.destroyed) return;
    const timer = setTimeout(() => this.session.destroy(), ALIVE_MS);
    this.session.ping(() => clearTimeout(timer));
  }

  sweep(now: number): void {
    if (this.#lanes.size === 0 && now - this.#idleSince > KEEP_MS) this.close();
  }

  close(): void {
    this.#closing = true;
    if (this.#lanes.size === 0) this.session.close();
  }

  #listen(): void {
    const { session } = this;
    const on = (event: string, handler: (...args: never[]) => void): void =>
      void session.on(event, this.#guard(handler) as (...args: unknown[]) => void);
    let cause: Error | undefined;
    on('remoteSettings', () => {
      if (this.#stands) return this.#parts.room();
      clearTimeout(this.#timer);
      this.#stands = true;
      session.setLocalWindowSize(SESSION_WINDOW);
      this.#parts.stands();
    });
    on('goaway', (_code: number, lastStream: number) => this.#bye(lastStream));
    on('error', (error: Error) => {
      cause = error;
    });
    on('close', () => {
      clearTimeout(this.#timer);
      if (!this.#stands) return this.#parts.stillborn(unreachable('protocol', 'it does not answer in HTTP/2', cause));
      this.#closing = true;
      for (const lane of [...this.#lanes]) lane.lost(cause);
      this.#parts.over();
    });
  }

  #bye(lastStream: number): void {
    this.lastStream = Math.min(lastStream, this.lastStream ?? lastStream);
    this.#takeNoMore();
  }

  /** Ends with the last stream that is on it. */
  #takeNoMore(): void {
    this.#closing = true;
    // Places that nobody uses are of no use any more.
    for (const lane of [...this.#lanes]) if (lane.idle) lane.retire();
    if (this.#lanes.size === 0 && !this.session.destroyed) this.session.close();
  }
}
