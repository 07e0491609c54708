import { HeldBytes } from './held-bytes.ts';

/** What hears of a content that is read. */
export interface ContentReader {
  /** So many bytes were taken by the app. */
  taken(bytes: number): void;
  /** The app wants no more. */
  cancelled(): void;
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
    this.readable = new ReadableStream(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () =>
          new Promise<void>((pulled) => {
            this.#pulled = pulled;
            this.#deliver();
          }),
        cancel: () => {
          this.#over = true;
          reader.cancelled();
        },
      },
      { highWaterMark: 0 },
    );
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
