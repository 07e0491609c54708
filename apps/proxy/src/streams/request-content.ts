import { copyBytes } from '@sallyport/channel';
import type { PooledCall } from '../backend/pooled-call.ts';
import { Pieces } from './pieces.ts';

/** Whom the content of a request asks and tells. */
export interface ContentPlace {
  /** Asks the gate: where it is open, `pass` is called before this returns. */
  ask(): void;
  /** So many bytes are dealt with: the device may send as many more. */
  credit(bytes: number): void;
}

/**
 * The content of one request on its way to the backend: small parts are put together, and what cannot go waits. Its credit goes back
 * when the backend has room, so what waits is bounded by the stream's window. Not shared.
 */
export class RequestContent {
  readonly #place: ContentPlace;
  readonly #pieces: Pieces = new Pieces((part) => this.#take(part));
  /** What waits: for a connection, or for rights that are being read. */
  #held: Uint8Array[] = [];
  /** What is lent by the device's record while the gate is asked. */
  #lent: Uint8Array | undefined;
  /** The way to the backend while the gate lends it. */
  #way: PooledCall | undefined;
  /** The backend has no room: small parts wait until it has. */
  #full = false;
  #uncredited = 0;

  constructor(place: ContentPlace) {
    this.#place = place;
  }

  /** Takes a part, which is lent until `settle`. */
  add(bytes: Uint8Array): void {
    this.#pieces.add(bytes);
  }

  /** What was added in one call goes on together, if it may; else it becomes our own. Gives of how many small parts it was. */
  settle(sending: boolean): number {
    const taken = this.#pieces.count();
    if (sending && !this.#full) this.#pieces.flush();
    else this.#pieces.keep();
    return taken;
  }

  /** The gate lends the way: what waits goes on it, small parts too while there is room, or when nothing follows. */
  pass(way: PooledCall, complete: boolean): void {
    this.#way = way;
    const held = this.#held;
    const lent = this.#lent;
    this.#held = [];
    this.#lent = undefined;
    for (const bytes of held) this.#send(way, bytes);
    if (lent) this.#send(way, lent);
    if (!this.#full || complete) this.#pieces.flush();
    this.#way = undefined;
  }

  /** The backend has room again. */
  room(): void {
    this.#full = false;
    this.#pieces.flush();
    if (!this.#full) this.#credit();
  }

  #take(bytes: Uint8Array): void {
    if (this.#way) return this.#send(this.#way, bytes);
    this.#lent = bytes;
    this.#place.ask();
    if (this.#lent) this.#held.push(copyBytes(bytes));
    this.#lent = undefined;
  }

  #send(way: PooledCall, bytes: Uint8Array): void {
    this.#uncredited += bytes.length;
    if (way.write(bytes)) return this.#credit();
    this.#full = true;
  }

  #credit(): void {
    this.#place.credit(this.#uncredited);
    this.#uncredited = 0;
  }
}
