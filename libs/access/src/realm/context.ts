import type { CryptoProvider } from '@sallyport/channel';
import type { Keyring } from '../sealing/keyring.ts';
import type { RealmStore } from '../store/store.ts';

/** Slow, salted hashing of passwords. */
export interface PasswordHasher {
  hash(password: string): Promise<string>;
  verify(hash: string, password: string): Promise<boolean>;
}

/** Everything the rules of one realm need from outside. Randomness and store are parameters; the store has the clock. */
export interface AccessContext {
  readonly store: RealmStore;
  readonly crypto: CryptoProvider;
  readonly keyring: Keyring;
  readonly passwords: PasswordHasher;
}

/** Who does something and why: every state change names both. */
export interface Actor {
  readonly actor: string;
  readonly reason: string;
}
