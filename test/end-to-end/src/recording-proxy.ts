import { type AddressInfo, connect, createServer, type Server } from 'node:net';

/** A TCP relay that keeps every byte of both directions: a wiretap. */
export class RecordingProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #parts: Buffer[];

  private constructor(server: Server, parts: Buffer[]) {
    this.#server = server;
    this.#parts = parts;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(target: { host: string; port: number }): Promise<RecordingProxy> {
    const parts: Buffer[] = [];
    const server = createServer((near) => {
      const far = connect(target);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('data', (data: Buffer) => parts.push(data));
        from.on('error', () => to.destroy());
        from.pipe(to);
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new RecordingProxy(server, parts);
  }

  /** Everything that was said, in the order it was heard. */
  get capture(): Buffer {
    return Buffer.concat(this.#parts);
  }

  close(): void {
    this.#server.close();
  }
}
