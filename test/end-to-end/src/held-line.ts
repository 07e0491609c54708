import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What a client says, and whether that still arrives. */
interface Hold {
  readonly words: string;
  readonly arrives: boolean;
  readonly reached: () => void;
}

/** A line to a PostgreSQL on this machine that freezes when its client says something: there the client can be killed. */
export class HeldLine {
  readonly port: number;
  readonly #server: Server;
  #hold: Hold | undefined;
  #frozen = false;

  private constructor(server: Server, socketFile: string) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => this.#relay(near, connect(socketFile)));
  }

  /** Leads to the server whose Unix socket is in a folder. */
  static async start({ host, port }: { readonly host: string; readonly port: number }): Promise<HeldLine> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new HeldLine(server, `${host}/.s.PGSQL.${port}`);
  }

  /** Resolves when a client says these words: nothing passes from then on, not even they, unless they are to arrive. */
  holdAt(words: string, arrives = false): Promise<void> {
    this.#frozen = false;
    return new Promise((reached) => {
      this.#hold = { words, arrives, reached };
    });
  }

  /** The line is open again. */
  open(): void {
    this.#hold = undefined;
    this.#frozen = false;
  }

  close(): void {
    this.#server.close();
  }

  #relay(near: Socket, far: Socket): void {
    near.on('data', (piece) => {
      if (this.#frozen) return;
      const hold = this.#hold;
      this.#frozen = hold !== undefined && piece.includes(hold.words);
      if (!this.#frozen || hold!.arrives) far.write(piece);
      if (this.#frozen) hold!.reached();
    });
    far.on('data', (piece) => {
      if (!this.#frozen) near.write(piece);
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.end());
    }
  }
}
