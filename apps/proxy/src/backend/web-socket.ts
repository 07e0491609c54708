import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { type Field, formatWsClose, type HeadLimits, WS_OPCODES, type WsClose } from '@sallyport/channel';
import type { Guard } from '@sallyport/telemetry';
import { acceptOf } from '../web-socket/accept.ts';
import { BackendError, invalidAnswer, tooLate } from './errors.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';
import { listenTo } from './socket-events.ts';
import { limitWords, type TimeLimits } from './time-limits.ts';
import { FrameError, FrameReader, type FrameSink, formatCloseFrame, formatFrame } from './web-socket-frames.ts';

/** What hears of a WebSocket to a backend. */
export interface WebSocketSink extends Omit<FrameSink, 'ping'> {
  /** It was accepted: the fields of the answer, as they came. */
  opened(fields: readonly Field[]): void;
  /** It was refused by a response, whose content follows by `body`, and `answered` behind it. */
  refused(status: number, fields: readonly Field[]): void;
  body(bytes: Uint8Array): void;
  answered(): void;
  /** All bytes of the backend that have come so far were told. */
  pushed(): void;
  /** Nothing moved for so long that it ended; the backend was told. */
  idle(words: string): void;
  /** A message of the backend was too long; the backend was told. */
  tooLong(words: string): void;
  /** It broke, or no answer came. Nothing follows. */
  failed(error: BackendError): void;
  /** Charges small frames to the backend that sends them; gives the ms for which nothing more is read of it. */
  spend(smallFrames: number): number;
  /** A ping may be answered at this moment. */
  mayAnswer(): boolean;
  /** The connection is gone. Nothing follows. */
  gone(): void;
}

/** What is asked for; everything in it was checked. */
export interface WebSocketRequest {
  readonly path: string;
  readonly authority: string;
  /** Further fields, without those of the handshake itself. */
  readonly fields: readonly Field[];
  readonly protocols: readonly string[];
}

/** How a WebSocket is kept. */
export interface WebSocketLimits extends TimeLimits {
  readonly maxMessageBytes: number;
  /** Of the answer to the handshake; the usual ones when absent. */
  readonly heads?: HeadLimits;
}

/** How long a backend may take to answer a close, ms. */
const CLOSE_WAIT_MS = 10_000;
/** Pongs are left out while so much waits for a backend that does not read, bytes. */
const MAX_PONG_BACKLOG = 65_536;
/** Small frames of one read that are nobody's concern. */
const FREE_FRAMES = 64;
/** A connection rests no longer than this at once, ms. */
const MAX_REST_MS = 5_000;

/**
 * The client's side of a WebSocket (RFC 6455) on a connection that stands: its handshake, then its frames, without extensions.
 * Nothing of a message is held.
 */
export class BackendWebSocket implements ResponseSink {
  readonly #socket: Socket;
  readonly #sink: WebSocketSink;
  readonly #limits: WebSocketLimits;
  readonly #parser: ResponseParser;
  readonly #frames: FrameReader;
  readonly #guard: Guard;
  #key = '';
  #protocols: readonly string[] = [];
  #state: 'asked' | 'refused' | 'open' | 'over' = 'asked';
  #closeSent = false;
  /** What the last ping that has no answer yet said. */
  #ping: Buffer | undefined;
  #paused = false;
  /** Set while nothing is read because the backend sent too many small frames. */
  #rest: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, parts: { sink: WebSocketSink; limits: WebSocketLimits; guard: Guard }) {
    const { sink, limits, guard } = parts;
    this.#parser = new ResponseParser(this, limits.heads);
    this.#socket = socket;
    this.#sink = sink;
    this.#limits = limits;
    this.#guard = guard;
    const { part, pong, close } = {
      part: sink.part.bind(sink),
      pong: sink.pong.bind(sink),
      close: (said: WsClose) => this.#closedByBackend(said),
    };
    const ping = (bytes: Buffer): void => {
      this.#ping = Buffer.from(bytes);
    };
    this.#frames = new FrameReader({ part, ping, pong, close }, limits.maxMessageBytes);
    socket.setNoDelay(true);
    listenTo(socket, guard, {
      data: (bytes) => this.#read(bytes),
      ended: () => this.#ended(),
      closed: () => {
        this.#ended();
        clearTimeout(this.#timer);
        this.#sink.gone();
      },
      broke: (error) => this.#fail(error),
      timedOut: () => this.#timedOut(),
    });
  }

  /** Sends the handshake: its bytes leave in this turn of the event loop. */
  ask(request: WebSocketRequest): void {
    this.#key = randomBytes(16).toString('base64');
    this.#protocols = request.protocols;
    this.#parser.expect('GET', true);
    this.#socket.write(formatHandshake(request, this.#key), 'latin1');
    const { answerMs } = this.#limits;
    const late = (): void =>
      this.#fail(tooLate('ERR_BACKEND_TIMEOUT', limitWords('no answer within', answerMs, 'answer')));
    this.#timer = setTimeout(this.#guard(late), answerMs);
  }

  /** Sends frames of `formatFrame`; `taken` is called when the socket has taken them. */
  write(frames: Uint8Array, taken: () => void): void {
    if (this.#closeSent || this.#state !== 'open') return taken();
    this.#socket.write(frames, this.#guard(taken));
  }

  /** Closes with what the device said, and waits for the backend's answer. */
  close(close: Uint8Array): void {
    if (this.#closeSent || this.#state !== 'open') return;
    this.#closeSent = true;
    this.#socket.write(formatCloseFrame(close));
    this.#destroyIn(CLOSE_WAIT_MS);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#rest) this.#socket.resume();
  }

  #restFor(ms: number): void {
    if (ms === 0 || this.#rest) return;
    this.#socket.pause();
    const over = (): void => {
      this.#rest = undefined;
      if (!this.#paused) this.#socket.resume();
    };
    this.#rest = setTimeout(this.#guard(over), Math.min(ms, MAX_REST_MS)).unref();
  }

  /** Ends it at once; its sink hears `gone` and nothing else. */
  destroy(): void {
    this.#state = 'over';
    this.#socket.destroy();
  }

  // What the parser of the response tells.

  switched(fields: readonly Field[]): void {
    const fault = this.#faultOf(fields);
    if (fault) throw invalidAnswer(fault);
    clearTimeout(this.#timer);
    this.#state = 'open';
    this.#socket.setTimeout(this.#limits.tunnelIdleMs);
    this.#sink.opened(fields);
  }

  head(status: number, fields: readonly Field[]): void {
    clearTimeout(this.#timer);
    this.#state = 'refused';
    this.#socket.setTimeout(this.#limits.idleMs);
    this.#sink.refused(status, fields);
  }

  body(bytes: Uint8Array): void {
    if (this.#state === 'refused') this.#sink.body(bytes);
    else if (this.#state === 'open') this.#frames.push(bytes as Buffer);
  }

  end(): void {
    this.#state = 'over';
    this.#sink.answered();
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    if (this.#state === 'over') return;
    try {
      if (this.#state === 'open') this.#frames.push(bytes);
      else this.#parser.push(bytes);
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      return this.#broken(error);
    }
    if (this.#ping) this.#pong(this.#ping);
    this.#sink.pushed();
    const { smallFrames } = this.#frames;
    if (smallFrames > FREE_FRAMES) this.#restFor(this.#sink.spend(smallFrames));
  }

  /** The backend broke a rule: it is told by which code. */
  #broken(error: BackendError): void {
    const over = this.#state !== 'open';
    const code = error instanceof FrameError ? error.closeCode : 1002;
    this.#say({ code, reason: error.message });
    if (over || code !== 1009) return this.#fail(error);
    this.#state = 'over';
    this.#sink.tooLong(error.message);
  }

  /** Sends a close of our own and ends the connection behind it. */
  #say(close: WsClose): void {
    if (this.#state !== 'open') return;
    if (!this.#closeSent) this.#socket.write(formatCloseFrame(formatWsClose(close)));
    this.#closeSent = true;
    this.#socket.end();
    this.#destroyIn(CLOSE_WAIT_MS);
  }

  #closedByBackend(close: WsClose): void {
    // Its last words go first, then the answer (RFC 6455, section 5.5.1).
    this.#sink.close(close);
    this.#say(close);
    this.#state = 'over';
  }

  #pong(content: Buffer): void {
    this.#ping = undefined;
    if (this.#closeSent || this.#state !== 'open' || !this.#sink.mayAnswer()) return;
    if (this.#socket.writableLength <= MAX_PONG_BACKLOG)
      this.#socket.write(formatFrame(WS_OPCODES.pong, true, content));
  }

  #timedOut(): void {
    const { tunnelIdleMs, idleMs } = this.#limits;
    if (this.#state === 'refused')
      return this.#fail(
        tooLate('ERR_BACKEND_TIMEOUT', limitWords('nothing more of the answer came for', idleMs, 'idle')),
      );
    if (this.#state !== 'open') return;
    const words = limitWords('nothing moved for', tunnelIdleMs, 'idle');
    this.#say({ code: 1001, reason: words });
    this.#state = 'over';
    this.#sink.idle(words);
  }

  #destroyIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#socket.destroy(), ms);
  }

  #ended(): void {
    if (this.#state === 'over') return void this.#socket.destroy();
    if (this.#state === 'open')
      return this.#fail(
        new BackendError('ERR_BACKEND_CLOSED', 'the backend closed the connection without a close frame'),
      );
    try {
      // A response may last until the end of its connection.
      this.#parser.finish();
    } catch (error) {
      this.#fail(error as BackendError);
    }
  }

  #fail(error: BackendError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#socket.destroySoon();
    this.#destroyIn(CLOSE_WAIT_MS);
    this.#sink.failed(error);
  }

  /** What is wrong with an answer that accepts (RFC 6455, section 4.1). */
  #faultOf(fields: readonly Field[]): string | undefined {
    const valuesOf = (wanted: string): string[] => fields.filter(([name]) => name === wanted).map(([, value]) => value);
    // Cut first, trimmed then: a pattern for both would look at many spaces again and again.
    const tokens = (name: string): string[] =>
      valuesOf(name).flatMap((value) =>
        value
          .toLowerCase()
          .split(',')
          .map((token) => token.trim()),
      );
    if (!tokens('upgrade').includes('websocket')) return 'the backend switches to another protocol';
    if (!tokens('connection').includes('upgrade')) return 'the answer does not name the upgrade in connection';
    if (valuesOf('sec-websocket-accept').join() !== acceptOf(this.#key)) return 'sec-websocket-accept does not fit';
    if (valuesOf('sec-websocket-extensions').join('') !== '')
      return 'the backend takes an extension that nobody offered';
    const protocols = valuesOf('sec-websocket-protocol');
    const offered = protocols.length === 0 || (protocols.length === 1 && this.#protocols.includes(protocols[0]!));
    return offered ? undefined : 'the backend takes a subprotocol that nobody offered';
  }
}

/** The client's handshake (RFC 6455, section 4.1). The Proxy alone says where it goes; the rest was checked before. */
function formatHandshake({ path, authority, fields, protocols }: WebSocketRequest, key: string): string {
  let text = `GET ${path} HTTP/1.1\r\nhost: ${authority}\r\n`;
  for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
  text += `upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: ${key}\r\nsec-websocket-version: 13\r\n`;
  if (protocols.length > 0) text += `sec-websocket-protocol: ${protocols.join(', ')}\r\n`;
  return `${text}\r\n`;
}
