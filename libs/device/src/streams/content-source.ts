import { HeldBytes } from './held-bytes.ts';

/** What hears of a content that is read. */
export interface ContentReader {
  /** So many bytes were taken by the app. */
  taken(bytes: number): void;
  /** The app wants no more. */
  cancelled(): void;
}

/** A web stream that holds nothing ahead: `asked` hears that its reader wants more, and what to call once some is given. */
export function streamOnDemand(source: {
  opened(controller: ReadableStreamDefaultController<Uint8Array>): void;
  asked(given: () => void): void;
  cancelled(): void;
}): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      start: (controller) => source.opened(controller),
      pull: () => new Promise<void>((given) => source.asked(given)),
      cancel: () => source.cancelled(),
    },
    { highWaterMark: 0 },
  );
}

/** Content that comes in parts, as a web stream at the pace of whoever reads it. Not shared. */
export class ContentSource {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #reader: ContentReader;
  readonly #held = new HeldBytes();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #pulled: (() => void) | undefined;
  #ended = false;
  #over = false;

  constructor(reader: ContentReader) {
    this.#reader = reader;
    this.readable = streamOnDemand({
      opened: (controller) => {
        this.#controller = controller;
      },
      asked: (given) => {
        this.#pulled = given;
        this.#deliver();
      },
      cancelled: () => {
        this.#over = true;
        reader.cancelled();
      },
    });
  }

  /** Takes the next bytes, which are copied. */
  add(bytes: Uint8Array): void {
    if (this.#over) return this.#reader.taken(bytes.length);
    this.#held.add(bytes);
    this.#deliver();
  }

  /** Nothing more comes. */
  end(): void {
    this.#ended = true;
    this.#deliver();
  }

  /** It was cut. */
  fail(error: Error): void {
    if (this.#over || this.#ended) return;
    this.#over = true;
    this.#controller?.error(error);
    this.#pulled?.();
  }

  #deliver(): void {
    const pulled = this.#pulled;
    if (!pulled || this.#over) return;
    const part = this.#held.take();
    if (!part && !this.#ended) return;
    this.#pulled = undefined;
    if (part) {
      this.#controller?.enqueue(part);
      this.#reader.taken(part.length);
    } else {
      this.#over = true;
      this.#controller?.close();
    }
    pulled();
  }
}
