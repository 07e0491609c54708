import { decodeHint, ENDPOINT_PATH, type Hint, SUBPROTOCOL } from '@sallyport/channel';
import { WebSocket } from 'ws';

/** A bare WebSocket to a Proxy, for devices that do not keep to the protocol. */
export class RawSocket {
  readonly socket: WebSocket;
  readonly messages: Uint8Array[] = [];
  closed = false;
  #wake: (() => void) | undefined;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data) => {
      this.messages.push(new Uint8Array(data as Buffer));
      this.#wake?.();
    });
    socket.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
    socket.on('error', () => undefined);
  }

  static open(origin: string): Promise<RawSocket> {
    const socket = new WebSocket(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL, { perMessageDeflate: false });
    const raw = new RawSocket(socket);
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(raw));
      socket.once('error', reject);
    });
  }

  /** The next message, undefined when the socket was closed instead. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.messages.length === 0 && !this.closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.messages.shift();
  }

  /** Sends a message and reads the hint that answers it, undefined when the socket was only closed. */
  async hint(message: Uint8Array): Promise<Hint['code'] | undefined> {
    this.socket.send(message);
    const answer = await this.next();
    return answer && decodeHint(answer).code;
  }

  end(): void {
    this.socket.terminate();
  }
}
