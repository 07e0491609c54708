import { EMPTY } from './bytes.ts';
import { TAG_BYTES } from './crypto.ts';
import { ChannelError, demand } from './errors.ts';
import type { CipherState, Transport } from './noise.ts';

/** Bytes of frames in the largest record: a Noise message of 65,535 less its tag. */
export const MAX_RECORD_BYTES = 65_519;
/** Records between two `Rekey()` of a direction. */
export const REKEY_RECORDS = 65_536;
/** Records after which a direction is at its end. */
export const MAX_RECORDS = 4_294_967_296;

/**
 * Record layer of one channel (SPEC.md, section 6): one Noise transport message per record, empty AD, implicit counter.
 * The first failure destroys both directions. Not shared.
 */
export class RecordLayer {
  #transport: Transport | undefined;

  /** Takes over the ciphers of a finished handshake. */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Seals whole frames into one record, `out` when given: it then has exactly the length of the frames and a tag.
   * @throws ChannelError ERR_CHANNEL_EXHAUSTED at the end of the channel.
   */
  seal(frames: Uint8Array, out?: Uint8Array): Uint8Array {
    if (frames.length > MAX_RECORD_BYTES) throw new TypeError(`a record holds at most ${MAX_RECORD_BYTES} bytes`);
    const { sealing } = this.#live();
    const record = this.#orDestroy(() => sealing.seal(EMPTY, frames, out));
    this.#advance(sealing);
    return record;
  }

  /**
   * Opens a record and takes its memory over: the frames may lie where the record was.
   * @throws ChannelError ERR_CHANNEL_OPEN, and then nothing opens any more.
   */
  open(record: Uint8Array): Uint8Array {
    const { opening } = this.#live();
    const frames = this.#orDestroy(() => {
      const fits = record.length >= TAG_BYTES && record.length <= MAX_RECORD_BYTES + TAG_BYTES;
      demand(fits, 'ERR_CHANNEL_OPEN', 'the message does not open');
      return opening.open(EMPTY, record, record.subarray(0, record.length - TAG_BYTES));
    });
    this.#advance(opening);
    return frames;
  }

  /** Forgets both keys. */
  destroy(): void {
    this.#transport = undefined;
  }

  #live(): Transport {
    if (!this.#transport) throw new ChannelError('ERR_CHANNEL_CLOSED', 'the channel is closed');
    return this.#transport;
  }

  #advance(cipher: CipherState): void {
    if (cipher.count >= MAX_RECORDS) this.destroy();
    else if (cipher.count % REKEY_RECORDS === 0) cipher.rekey();
  }

  #orDestroy<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.destroy();
      throw error;
    }
  }
}
