import { type Algorithm, hash, verify } from '@node-rs/argon2';
import type { PasswordHasher } from '@sallyport/access';

/** argon2id with the parameters of RFC 9106, section 4 (second choice) lowered in memory to OWASP's 19 MiB. */
const PARAMETERS = { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** Hashes at once: more would only take memory, the threads are few. */
const CONCURRENCY = 4;
/** Waiting hashes; the next one is refused, which bounds what a flood of logins costs. */
const MAX_WAITING = 512;

/** Too many logins wait for their password check. */
export class PasswordsBusyError extends Error {
  readonly code = 'ERR_SECURITY_BUSY';
}

/** argon2id hashing with bounded concurrency and queue. */
export function createPasswordHasher(): PasswordHasher {
  let running = 0;
  const waiting: (() => void)[] = [];
  const limited = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= CONCURRENCY) {
      if (waiting.length >= MAX_WAITING) throw new PasswordsBusyError('too many password checks wait');
      await new Promise<void>((turn) => waiting.push(turn));
    }
    running += 1;
    try {
      return await work();
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
  return {
    hash: (password) => limited(() => hash(password, PARAMETERS)),
    verify: (stored, password) => limited(() => verify(stored, password)),
  };
}
