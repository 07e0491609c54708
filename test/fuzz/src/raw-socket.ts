import {
  ChannelError,
  decodeText,
  type HttpDecoder,
  responseDecoder,
  WS_OPCODES,
  WsMessageDecoder,
} from '@sallyport/channel';

/** What attackers reached, over all their channels. */
export interface Reached {
  /** WebSockets that a backend accepted, and messages that came over them. */
  webSockets: number;
  messages: number;
  /** Messages that named somebody else. */
  readonly wrong: string[];
}

/** What an attacker hears on a WebSocket that was opened as it should be. */
export class RawSocket {
  readonly #decoder: HttpDecoder;
  readonly #messages = new WsMessageDecoder();
  readonly #user: string | undefined;
  readonly #reached: Reached;

  /** With a user, every text must name them: it comes from a backend that says who asked. */
  constructor(user: string | undefined, reached: Reached) {
    this.#user = user;
    this.#reached = reached;
    this.#decoder = responseDecoder(
      {
        head: ({ status }) => {
          if (status === 200) this.#reached.webSockets += 1;
        },
        content: (bytes) => this.#content(bytes),
        trailers: () => undefined,
      },
      'raw',
    );
  }

  read(bytes: Uint8Array): void {
    try {
      this.#decoder.push(bytes);
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#reached.wrong.push(`a WebSocket got what SPEC.md does not allow: ${error.message}`);
    }
  }

  #content(bytes: Uint8Array): void {
    for (const message of this.#messages.push(bytes)) {
      this.#reached.messages += 1;
      if (this.#user === undefined || message.opcode !== WS_OPCODES.text) continue;
      const text = decodeText(message.bytes);
      if (!text.startsWith(`${this.#user} `))
        this.#reached.wrong.push(`${this.#user}: the WebSocket got ${text.slice(0, 80)}`);
    }
  }
}
