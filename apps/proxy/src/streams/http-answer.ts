import {
  type ChannelStream,
  checkResponse,
  checkTrailers,
  copyBytes,
  EMPTY,
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeResponse,
  encodeResponseHead,
  type Field,
  type ResponseHead,
  type SignedCode,
} from '@sallyport/channel';
import type { BackendSink } from '../backend/connection.ts';
import { type BackendError, type BackendErrorCode, invalidAnswer, wordsOf } from '../backend/errors.ts';
import { type Facing, mappedFields, saysWhere } from './answered-fields.ts';

/** Who asked, as the answer sees it: the way to a backend knows the way back, which so knows nothing of it. */
export interface Asker {
  /** True once the exchange has ended for the device. */
  readonly over: boolean;
  /** How the backend looks to who asked; made when it is asked for. */
  readonly facing: Facing;
  mayServe(): boolean;
  /** The last look before the request goes out. False: it does not go out on this connection. */
  mayBegin(): boolean;
  /** The head of the request is out. */
  begun(): void;
  /** The backend has room for more content. */
  room(): void;
  /** The device's side has no room for more of the answer: no more until it has. */
  full(): void;
  /** The backend says that it took nothing. */
  untaken(): void;
  /** The device has its whole answer. */
  done(): void;
  /** The backend failed; `refuse` follows, unless the request goes on. */
  failed(error: BackendError): void;
  /** True when another server takes the request, of which nothing was sent; this answer is over then. */
  goesOn(error: BackendError): boolean;
  refuse(code: SignedCode, words?: string): void;
}

const NO_FIELDS: readonly Field[] = [];
/** Parts of a response from this size on are sent at once instead of being copied. */
const LARGE_PART_BYTES = 16 * 1024;

/** What failed, by what the device may conclude from it. */
const CODES: Readonly<Record<BackendErrorCode, SignedCode>> = {
  ERR_BACKEND_ADDRESS: 'BACKEND_UNREACHABLE',
  ERR_BACKEND_UNREACHABLE: 'BACKEND_UNREACHABLE',
  ERR_BACKEND_BUSY: 'CALM_DOWN',
  ERR_BACKEND_REFUSED: 'NOT_PROCESSED',
  ERR_BACKEND_PROTOCOL: 'BACKEND_UNREACHABLE',
  ERR_BACKEND_TIMEOUT: 'BACKEND_TIMEOUT',
  ERR_BACKEND_CLOSED: 'BACKEND_FAILED',
  ERR_BACKEND_RESPONSE: 'BACKEND_FAILED',
  ERR_BACKEND_STALLED: 'REQUEST_BROKEN',
  ERR_BACKEND_ABORTED: 'BACKEND_FAILED',
};

/** The code for a device of what failed. */
export function codeOf({ code }: BackendError): SignedCode {
  return CODES[code];
}

/** The way of a response from its backend to the device, as binary HTTP. */
export class HttpAnswer implements BackendSink {
  readonly #asker: Asker;
  readonly #stream: ChannelStream;
  /** A head that waits for the content that came with it. */
  #held: ResponseHead | undefined;
  #length: number | undefined;
  #complete = false;
  #trailers: readonly Field[] = NO_FIELDS;

  constructor(asker: Asker, stream: ChannelStream) {
    this.#asker = asker;
    this.#stream = stream;
  }

  connected(): boolean {
    return this.#asker.mayBegin();
  }

  begun(): void {
    this.#asker.begun();
  }

  untaken(): void {
    this.#asker.untaken();
  }

  room(): void {
    this.#asker.room();
  }

  head(status: number, fields: readonly Field[], length: number | undefined): void {
    if (this.#asker.over) return;
    try {
      this.#held = { status, fields: this.#mapped(checkResponse({ status, fields })) };
      this.#length = length;
    } catch (error) {
      this.#refuseAnswer((error as Error).message);
    }
  }

  body(bytes: Uint8Array): void {
    if (this.#asker.over) return;
    if (!this.#asker.mayServe()) return this.#asker.refuse('LEASE_LOST');
    if (this.#held && bytes.length === this.#length) return this.#whole(this.#held, bytes);
    if (this.#held) this.#begin(this.#held);
    this.#stream.write(encodeChunkPrefix(bytes.length));
    const large = bytes.length >= LARGE_PART_BYTES;
    const room = large ? this.#stream.writeBorrowed(bytes) : this.#stream.write(copyBytes(bytes));
    if (!room) this.#asker.full();
  }

  /** Those that may reach the device; what frames a message has no place here. */
  trailers(fields: readonly Field[]): void {
    if (this.#asker.over) return;
    try {
      const passing = checkResponse({ status: 200, fields }).filter(([name]) => name !== 'content-length');
      checkTrailers(passing);
      this.#trailers = passing;
    } catch (error) {
      this.#refuseAnswer((error as Error).message);
    }
  }

  pushed(): void {
    if (!this.#held || this.#asker.over) return;
    if (this.#asker.mayServe()) this.#begin(this.#held);
    else this.#asker.refuse('LEASE_LOST');
  }

  end(): void {
    if (this.#held && !this.#asker.over && !this.#asker.mayServe()) this.#asker.refuse('LEASE_LOST');
    if (this.#asker.over) return this.#stream.settle();
    if (this.#held && this.#trailers.length > 0) this.#begin(this.#held);
    if (this.#held) this.#whole(this.#held, EMPTY);
    if (!this.#complete) {
      this.#stream.write(encodeMessageEnd(this.#trailers));
      this.#stream.finish();
    }
    this.#asker.done();
  }

  failed(error: BackendError): void {
    this.#asker.failed(error);
    if (this.#asker.goesOn(error)) return;
    this.#asker.refuse(codeOf(error), wordsOf(error));
    this.#stream.settle();
  }

  #refuseAnswer(rule: string): void {
    const error = invalidAnswer(rule);
    this.#asker.failed(error);
    this.#asker.refuse(codeOf(error), wordsOf(error));
  }

  /** Most answers say nothing of where the backend is. */
  #mapped(fields: readonly Field[]): readonly Field[] {
    for (const [name] of fields) if (saysWhere(name)) return mappedFields(fields, this.#asker.facing);
    return fields;
  }

  #begin(head: ResponseHead): void {
    this.#held = undefined;
    this.#stream.write(encodeResponseHead(head));
  }

  #whole(head: ResponseHead, content: Uint8Array): void {
    this.#held = undefined;
    this.#complete = true;
    this.#stream.write(encodeResponse(head, content));
    this.#stream.finish();
  }
}
