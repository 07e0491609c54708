import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';

/** Structured log of a server: JSON lines. */
export type Log = Logger;

/** Fields that never belong into a log, wherever they stand. Secrets are typed to redact themselves; this is the net below. */
const REDACTED = ['password', 'secret', 'token', 'authorization', 'cookie', 'code', 'cred', 'channelKey'];

/** Creates the log of a server, to standard error unless a destination is given. */
export function createLog(name: string, level = 'info', destination?: { write(line: string): void }): Log {
  const paths = REDACTED.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);
  const options = { name, level, redact: { paths, censor: '[redacted]' }, base: { name } };
  return destination ? pino(options, destination) : pino(options, standardError());
}

/** How long a reader that takes nothing is waited for at an orderly end, ms. */
const WRITTEN_MS = 1_000;

/** Waits until every line of a log is written, a second at most: its reader may be frozen or gone. */
export async function written(log: Log): Promise<void> {
  const limit = Promise.withResolvers<void>();
  const timer = setTimeout(limit.resolve, WRITTEN_MS);
  await Promise.race([limit.promise, new Promise<void>((resolve) => log.flush(() => resolve()))]);
  clearTimeout(timer);
}

const STDERR = 2;
/** Lines go out as they come; with 0, the same, the destination's `flush` waits for nothing. */
const AT_ONCE = 1;
/** A reader that takes nothing at the exit is waited for so often, so long, ms. */
const EXIT_TRIES = 20;
const EXIT_WAIT_MS = 50;

/** What `sonic-boom` holds: lines that it has not begun to write, and those that it writes. */
interface Unwritten {
  readonly _bufs: readonly string[];
  readonly _writing: boolean;
  readonly _writingBuf: string;
}

/**
 * Standard error, which nobody waits for. When the process exits at once, what is left is written then, as far as it is taken: the
 * destination's own way tries for ever, deaf to every signal, once its reader is gone (EPIPE). A line whose writing has begun
 * may then come behind those, or not at all: who ends in order waits for `written`.
 */
function standardError(): ReturnType<typeof pino.destination> {
  const destination = pino.destination({ fd: STDERR, sync: false, minLength: AT_ONCE });
  destination.flushSync = () => {
    // Its types do not name what it holds.
    const { _bufs, _writing, _writingBuf } = destination as unknown as Unwritten;
    writeRest([_writing ? '' : _writingBuf, ..._bufs].join(''));
  };
  return destination;
}

function writeRest(text: string): void {
  let rest = Buffer.from(text);
  for (let tries = 0; rest.length > 0 && tries < EXIT_TRIES; )
    try {
      rest = rest.subarray(writeSync(STDERR, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      tries += 1;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EXIT_WAIT_MS);
    }
}
