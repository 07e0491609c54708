import { type Logger, pino } from 'pino';

/** Structured log of a server: JSON lines. */
export type Log = Logger;

/** Fields that never belong into a log, wherever they stand. Secrets are typed to redact themselves; this is the net below. */
const REDACTED = ['password', 'secret', 'token', 'authorization', 'cookie', 'code', 'cred', 'channelKey'];

/** Creates the log of a server, to standard error unless a destination is given. */
export function createLog(name: string, level = 'info', destination?: { write(line: string): void }): Log {
  const paths = REDACTED.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);
  const options = { name, level, redact: { paths, censor: '[redacted]' }, base: { name } };
  return destination ? pino(options, destination) : pino(options, pino.destination({ fd: 2, sync: false }));
}
