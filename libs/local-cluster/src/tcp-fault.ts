import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { DRIVER_ADDRESS } from '@sallyport/support';

/** What is wrong with the way at the moment; nothing by default. */
export interface TcpFaults {
  /** Every piece is late by this much, ms, and by up to `jitterMs` more. */
  latencyMs: number;
  jitterMs: number;
  /** So many bytes pass in a ms, in each direction, of all connections together. */
  bytesPerMs: number;
  /** Pieces are taken and vanish; nobody is told. */
  blackHole: boolean;
  /** The connection breaks off in the middle of the stream after so many more bytes. */
  breakAfterBytes: number;
  /** Every so-many-th byte is changed. */
  corruptEvery: number;
  /** Only what comes from the target is late or vanishes: answers and pushes. */
  answersOnly: boolean;
}

const NONE: TcpFaults = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerMs: Number.POSITIVE_INFINITY,
  blackHole: false,
  breakAfterBytes: Number.POSITIVE_INFINITY,
  corruptEvery: 0,
  answersOnly: false,
};

/** A TCP relay that plays a bad line, on every Linux: no kernel module is needed for it. */
export class TcpFaultProxy {
  readonly port: number;
  readonly faults: TcpFaults = { ...NONE };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** When what was taken so far has passed, there and back. */
  readonly #freeAt = { there: 0, back: 0 };

  private constructor(server: Server, target: { host: string; port: number }) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => this.#relay(near, connect(target)));
  }

  static async start(target: { host: string; port: number }): Promise<TcpFaultProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, DRIVER_ADDRESS, resolve));
    return new TcpFaultProxy(server, target);
  }

  /** The line is good again; connections that broke stay broken. */
  heal(): void {
    Object.assign(this.faults, NONE);
  }

  /** Resets every connection. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.resetAll();
    this.#server.close();
  }

  #relay(near: Socket, far: Socket): void {
    this.#pipe(near, far, false);
    this.#pipe(far, near, true);
  }

  #pipe(from: Socket, to: Socket, answers: boolean): void {
    this.#sockets.add(from);
    // One timer for the oldest piece: timers of different lengths may fire out of order within a millisecond.
    const queue: { readonly bytes: Buffer | undefined; readonly dueAt: number }[] = [];
    let dueAt = 0;
    const pump = (): void => {
      for (let piece = queue[0]; piece && piece.dueAt <= performance.now(); piece = queue[0]) {
        queue.shift();
        if (piece.bytes) this.#pass(piece.bytes, { from, to, answers });
        else to.end();
      }
      if (queue[0]) setTimeout(pump, Math.max(0, queue[0].dueAt - performance.now()));
    };
    const enqueue = (bytes: Buffer | undefined): void => {
      const { latencyMs, jitterMs, answersOnly } = this.faults;
      const lateMs = answersOnly && !answers ? 0 : latencyMs + Math.random() * jitterMs;
      dueAt = Math.max(dueAt, this.#passed(answers ? 'back' : 'there', bytes?.length ?? 0) + lateMs);
      queue.push({ bytes, dueAt });
      if (queue.length === 1) pump();
    };
    from.setNoDelay();
    from.on('data', (data) => {
      if (!this.#swallows(answers)) enqueue(this.#damage(data));
    });
    from.on('end', () => enqueue(undefined));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      setTimeout(() => to.destroy(), Math.max(0, dueAt - performance.now()) + 5);
    });
  }

  #passed(way: 'there' | 'back', bytes: number): number {
    this.#freeAt[way] = Math.max(performance.now(), this.#freeAt[way]) + bytes / this.faults.bytesPerMs;
    return this.#freeAt[way];
  }

  #swallows(answers: boolean): boolean {
    return this.faults.blackHole && (answers || !this.faults.answersOnly);
  }

  #pass(bytes: Buffer, { from, to, answers }: { from: Socket; to: Socket; answers: boolean }): void {
    if (to.destroyed || this.#swallows(answers)) return;
    this.faults.breakAfterBytes -= bytes.length;
    if (this.faults.breakAfterBytes > 0) return void to.write(bytes);
    to.write(bytes.subarray(0, bytes.length >> 1));
    from.resetAndDestroy();
    to.resetAndDestroy();
    this.faults.breakAfterBytes = NONE.breakAfterBytes;
  }

  #damage(data: Buffer): Buffer {
    const { corruptEvery } = this.faults;
    if (corruptEvery === 0 || data.length < corruptEvery) return data;
    const damaged = Buffer.from(data);
    for (let i = corruptEvery - 1; i < damaged.length; i += corruptEvery) damaged[i]! ^= 0x55;
    return damaged;
  }
}
