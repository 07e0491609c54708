import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What is wrong with the way at the moment; nothing by default. */
export interface TcpFaults {
  /** Every piece is late by this much, ms, and by up to `jitterMs` more. */
  latencyMs: number;
  jitterMs: number;
  /** So many bytes pass in a ms, in each direction, of all connections together. */
  bytesPerMs: number;
  /** Of packets this share is lost, and comes again. */
  lossShare: number;
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
  lossShare: 0,
  blackHole: false,
  breakAfterBytes: Number.POSITIVE_INFINITY,
  corruptEvery: 0,
  answersOnly: false,
};

/** Content of a packet, and of so few that none behind a lost one tells of the loss: that takes TCP a time-out then (RFC 6298), ms. */
const PACKET_BYTES = 1_448;
const FEW_PACKETS = 3;
const TIMEOUT_MS = 200;

/** A place that TCP reaches. */
export interface TcpPlace {
  readonly host: string;
  readonly port: number;
}

/** One connection through a relay. */
interface Connection {
  /** How often devices had moved before it was made. */
  readonly moves: number;
  /** Something went there last. */
  isAsked: boolean;
}

/** One direction of a connection. */
interface Way {
  readonly from: Socket;
  readonly to: Socket;
  /** True for what comes from the target. */
  readonly answers: boolean;
}

/** A TCP relay that plays a bad line, on every Linux: no kernel module is needed for it. */
export class TcpFaultProxy {
  readonly port: number;
  readonly faults: TcpFaults = { ...NONE };
  /** How often the target has answered: something came back on a connection, behind something that went there. */
  roundTrips = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** When what was taken so far has passed, there and back. */
  readonly #freeAt = { there: 0, back: 0 };
  /** Connections of before the last of so many moves lead nowhere any more. */
  #moves = 0;

  private constructor(server: Server, target: TcpPlace) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => this.#relay(near, connect(target)));
  }

  /** Listens at `at`, by default at a free port. @throws Error when that is taken */
  static async start(target: TcpPlace, at: { readonly host: string; readonly port?: number }): Promise<TcpFaultProxy> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at.port ?? 0, at.host, resolve);
    });
    return new TcpFaultProxy(server, target);
  }

  /** The line is good again; connections that broke stay broken. */
  heal(): void {
    Object.assign(this.faults, NONE);
  }

  /** Nothing passes any more on connections that stand, and nobody is told: as when a device is in another network. New ones pass. */
  strand(): void {
    this.#moves += 1;
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
    const connection = { moves: this.#moves, isAsked: false };
    this.#pipe(connection, { from: near, to: far, answers: false });
    this.#pipe(connection, { from: far, to: near, answers: true });
  }

  #pipe(connection: Connection, way: Way): void {
    const { from, to, answers } = way;
    this.#sockets.add(from);
    // One timer for the oldest piece: timers of different lengths may fire out of order within a millisecond.
    const queue: { readonly bytes: Buffer | undefined; readonly dueAt: number }[] = [];
    let dueAt = 0;
    const pump = (): void => {
      for (let piece = queue[0]; piece && piece.dueAt <= performance.now(); piece = queue[0]) {
        queue.shift();
        if (!piece.bytes) to.end();
        else if (!this.#swallows(connection, answers)) this.#pass(piece.bytes, way);
      }
      if (queue[0]) setTimeout(pump, Math.max(0, queue[0].dueAt - performance.now()));
    };
    const enqueue = (bytes: Buffer | undefined): void => {
      const { latencyMs, jitterMs, answersOnly } = this.faults;
      const lateMs = answersOnly && !answers ? 0 : latencyMs + Math.random() * jitterMs;
      const length = bytes?.length ?? 0;
      dueAt = Math.max(dueAt, this.#passed(answers ? 'back' : 'there', length) + lateMs) + this.#lostMs(length);
      queue.push({ bytes, dueAt });
      if (queue.length === 1) pump();
    };
    from.setNoDelay();
    from.on('data', (data) => {
      if (answers && connection.isAsked) this.roundTrips += 1;
      connection.isAsked = !answers;
      if (!this.#swallows(connection, answers)) enqueue(this.#damage(data));
    });
    from.on('end', () => enqueue(undefined));
    const isStranded = (): boolean => connection.moves < this.#moves;
    from.on('error', () => isStranded() || to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      if (isStranded()) return;
      setTimeout(() => to.destroy(), Math.max(0, dueAt - performance.now()) + 5);
    });
  }

  #passed(way: 'there' | 'back', bytes: number): number {
    this.#freeAt[way] = Math.max(performance.now(), this.#freeAt[way]) + bytes / this.faults.bytesPerMs;
    return this.#freeAt[way];
  }

  /** How much later a piece is for packets of it that were lost: what comes behind them waits with it, as in TCP. */
  #lostMs(bytes: number): number {
    const { lossShare, latencyMs } = this.faults;
    if (lossShare === 0) return 0;
    const packets = Math.ceil(bytes / PACKET_BYTES);
    const lost = Array.from({ length: packets }, () => Math.random() < lossShare).filter(Boolean).length;
    return lost * (2 * latencyMs + (packets <= FEW_PACKETS ? TIMEOUT_MS : 0));
  }

  #swallows({ moves }: Connection, answers: boolean): boolean {
    if (moves < this.#moves) return true;
    return this.faults.blackHole && (answers || !this.faults.answersOnly);
  }

  #pass(bytes: Buffer, { from, to }: Way): void {
    if (to.destroyed) return;
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
