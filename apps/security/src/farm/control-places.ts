/** Control connections of one key at once: a Proxy needs one, and for some seconds those that its network has swallowed. */
const MAX_OF_ONE_KEY = 16;

/**
 * Places for control connections. A Proxy is its key, so that one that opens more and more of them, or several that share a key, take
 * nothing from the others. One belongs to one listener.
 */
export class ControlPlaces {
  readonly #taken = new Map<string, { count: number; said: boolean }>();
  readonly #refused: (keyHash: string) => void;

  /** `refused` hears once of a key that has all its places, until one of them is free again. */
  constructor(refused: (keyHash: string) => void) {
    this.#refused = refused;
  }

  /** Takes a place; gives the function that gives it back, to be called once. Undefined when the key has no more. */
  take(keyHash: string): (() => void) | undefined {
    const taken = this.#taken.get(keyHash) ?? { count: 0, said: false };
    if (taken.count >= MAX_OF_ONE_KEY) {
      if (!taken.said) this.#refused(keyHash);
      taken.said = true;
      return undefined;
    }
    taken.count += 1;
    this.#taken.set(keyHash, taken);
    return () => {
      taken.count -= 1;
      taken.said = false;
      if (taken.count === 0) this.#taken.delete(keyHash);
    };
  }
}
