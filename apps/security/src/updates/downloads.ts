import type { Readable } from 'node:stream';
import { ProblemError } from '@sallyport/http-service';

/** Downloads of one installation at a time: each is looked at twice a second, and has a file open. */
const MAX_DOWNLOADS = 4;

/** Downloads that go on, by installation. One belongs to one node. */
export class Downloads {
  readonly #open = new Map<string, number>();

  /** Opens one, unless the installation has enough. @throws ProblemError ERR_SECURITY_SLOW */
  begin(installationId: string, open: () => Readable): Readable {
    const count = this.#open.get(installationId) ?? 0;
    if (count >= MAX_DOWNLOADS)
      throw new ProblemError('ERR_SECURITY_SLOW', `this device has ${count} downloads already`);
    const stream = open();
    this.#open.set(installationId, count + 1);
    stream.once('close', () => this.#end(installationId));
    return stream;
  }

  #end(installationId: string): void {
    const count = (this.#open.get(installationId) ?? 1) - 1;
    if (count === 0) this.#open.delete(installationId);
    else this.#open.set(installationId, count);
  }
}
