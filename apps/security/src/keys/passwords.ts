import { type Algorithm, hash, verify } from '@node-rs/argon2';
import type { PasswordHasher } from '@sallyport/access';
import { Places } from '@sallyport/places';

/** argon2id with the parameters of RFC 9106, section 4 (second choice) lowered in memory to OWASP's 19 MiB. */
const PARAMETERS = { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** Hashes at once: more would only take memory, the threads are few. */
const CONCURRENCY = 4;
/** Waiting hashes; the next one is refused, which bounds what a flood of logins costs. */
const MAX_WAITING = 512;
const MAX_WAIT_MS = 10_000;

/** argon2id hashing with bounded concurrency and line; what stands in line for too long throws BusyError. */
export function createPasswordHasher(): PasswordHasher {
  const places = new Places({ places: CONCURRENCY, maxWaiting: MAX_WAITING, maxWaitMs: MAX_WAIT_MS });
  return {
    hash: (password) => places.run(() => hash(password, PARAMETERS)),
    verify: (stored, password) => places.run(() => verify(stored, password)),
  };
}
