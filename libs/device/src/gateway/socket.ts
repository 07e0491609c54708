import { decodeHint, ENDPOINT_PATH, type Hint, MESSAGE_TYPES, SUBPROTOCOL } from '@sallyport/channel';
import { DeviceError, remoteError } from '../errors.ts';

/** The part of the WebSocket API that the SDK uses: a browser's WebSocket and that of `ws` both have it. */
export interface WebSocketLike {
  /** The SDK sets `arraybuffer`. */
  binaryType: string;
  /** Bytes that were sent and have not left. */
  readonly bufferedAmount: number;
  /** Sends one binary message. */
  send(bytes: Uint8Array): void;
  /** Closes without waiting. */
  close(): void;
  /** Tells when it is open, closed or has failed. */
  addEventListener(type: 'open' | 'close' | 'error', listener: () => void): void;
  /** Tells of messages; `data` is an ArrayBuffer. */
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
}

/** Opens a WebSocket. */
export type WebSocketFactory = (url: string, protocol: string) => WebSocketLike;

const OPEN_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 20_000;
/** Messages that may come before anybody listens: the first records arrive right behind WELCOME. */
const MAX_EARLY_MESSAGES = 64;

/** Who listens to a socket once its channel stands. */
export interface SocketListener {
  message(bytes: Uint8Array): void;
  closed(): void;
}

/** One WebSocket to a Proxy: first question and answer, later records. */
export class GatewaySocket {
  readonly #socket: WebSocketLike;
  #waiting: { resolve(bytes: Uint8Array): void; reject(error: DeviceError): void } | undefined;
  #listener: SocketListener | undefined;
  #early: Uint8Array[] = [];
  #open = true;

  private constructor(socket: WebSocketLike) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#receive(data));
    socket.addEventListener('close', () => this.#closed());
    socket.addEventListener('error', () => this.#closed());
  }

  /** Connects to the endpoint of a Proxy. @throws DeviceError OFFLINE */
  static async connect(factory: WebSocketFactory, origin: string): Promise<GatewaySocket> {
    return new Promise((resolve, reject) => {
      let socket: WebSocketLike;
      const fail = (): void => {
        clearTimeout(timer);
        reject(new DeviceError('OFFLINE', `no connection to ${origin}`));
        socket?.close();
      };
      const timer = setTimeout(fail, OPEN_TIMEOUT_MS);
      try {
        socket = factory(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL);
      } catch {
        return fail();
      }
      socket.binaryType = 'arraybuffer';
      socket.addEventListener('error', fail);
      socket.addEventListener('close', fail);
      socket.addEventListener('open', () => {
        clearTimeout(timer);
        resolve(new GatewaySocket(socket));
      });
    });
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Sends one message and gives the answer. @throws DeviceError with the code of a hint, or OFFLINE */
  async ask(message: Uint8Array): Promise<Uint8Array> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const answer = await new Promise<Uint8Array>((resolve, reject) => {
      if (!this.#open) return reject(new DeviceError('OFFLINE', 'the connection is closed'));
      this.#waiting = { resolve, reject };
      timer = setTimeout(() => reject(new DeviceError('OFFLINE', 'the gateway does not answer')), ANSWER_TIMEOUT_MS);
      this.#socket.send(message);
    }).finally(() => {
      clearTimeout(timer);
      this.#waiting = undefined;
    });
    if (answer[0] !== MESSAGE_TYPES.HINT) return answer;
    const hint: Hint = decodeHint(answer);
    throw remoteError(hint.code, { retryAfterMs: hint.retryAfterMs, mayHaveRun: false });
  }

  /** From now on every message goes to the listener. */
  listen(listener: SocketListener): void {
    this.#listener = listener;
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) listener.message(bytes);
    if (!this.#open) listener.closed();
  }

  send(bytes: Uint8Array): void {
    if (this.#open) this.#socket.send(bytes);
  }

  close(): void {
    this.#socket.close();
    this.#closed();
  }

  #receive(data: unknown): void {
    if (!(data instanceof ArrayBuffer) || !this.#open) return;
    const bytes = new Uint8Array(data);
    if (this.#listener) return this.#listener.message(bytes);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) return waiting.resolve(bytes);
    if (this.#early.length >= MAX_EARLY_MESSAGES) return this.close();
    this.#early.push(bytes);
  }

  #closed(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#waiting?.reject(new DeviceError('OFFLINE', 'the connection was closed'));
    this.#listener?.closed();
  }
}
