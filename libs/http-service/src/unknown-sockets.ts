import type { Server, Socket } from 'node:net';
import { addressKey, parseAddress } from '@sallyport/settings';

/** How many sockets a listener keeps of those who have not said who they are. */
export interface UnknownLimits {
  readonly all: number;
  /** Of one address; of IPv6 of a /64. */
  readonly ofAddress: number;
}

/**
 * The sockets of a listener whose owners nobody knows yet. Where there are too many, the one that has been there for longest
 * makes room, first of the same address: so silent sockets keep nobody out, and who is known is never cut.
 * Make it before `takeAddressesFrom`. One belongs to one server.
 */
export class UnknownSockets {
  readonly #limits: UnknownLimits;
  /** In the order in which they came; of each address likewise. */
  readonly #all = new Map<string, Socket>();
  readonly #byAddress = new Map<string, Set<string>>();

  constructor(server: Server, limits: UnknownLimits) {
    this.#limits = limits;
    server.prependListener('connection', (socket: Socket) => this.#enter(socket));
  }

  get size(): number {
    return this.#all.size;
  }

  /** Somebody known is at the other end, of this socket or of the TLS socket over it. */
  know(socket: Socket): void {
    this.#forget(nameOf(socket));
  }

  #enter(socket: Socket): void {
    const name = nameOf(socket);
    const same = this.#byAddress.get(ownerOf(name)) ?? new Set();
    this.#byAddress.set(ownerOf(name), same.add(name));
    this.#all.set(name, socket);
    socket.once('close', () => this.#forget(name));
    if (same.size > this.#limits.ofAddress) this.#end(same.values().next().value!);
    if (this.#all.size > this.#limits.all) this.#end(this.#all.keys().next().value!);
  }

  #end(name: string): void {
    const socket = this.#all.get(name);
    this.#forget(name);
    socket?.destroy();
  }

  #forget(name: string): void {
    if (!this.#all.delete(name)) return;
    const same = this.#byAddress.get(ownerOf(name));
    same?.delete(name);
    if (same?.size === 0) this.#byAddress.delete(ownerOf(name));
  }
}

/** What a connection is called while it lives: a TLS socket has the same name as the socket below it. */
function nameOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return `${addressKey(parseAddress(remoteAddress) ?? remoteAddress)} ${remoteAddress} ${remotePort}`;
}

function ownerOf(name: string): string {
  return name.slice(0, name.indexOf(' '));
}
