import pg from 'pg';
import { READ_ONLY } from './primary.ts';

/**
 * Classes of SQLSTATE of a server that cannot do its work: connection, rights to write, rollbacks, resources, intervention,
 * system, internal. Whatever else it answers is about what it was asked for.
 */
const CLASSES = new Set(['08', '25', '40', '53', '55', '57', '58', 'XX']);
/** What the way to a server answers, and what names do that nobody resolves now. */
const ON_THE_WAY = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN'],
  ...['ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA'],
]);
/** SQLSTATE of a commit whose wait for a standby was cancelled: it stands here, but perhaps nowhere else. */
export const COMMIT_UNCERTAIN = '01000';
/** Of those who answer, but cannot promise anything now. */
const NO_PROMISE: readonly string[] = [READ_ONLY, COMMIT_UNCERTAIN];
/** Words of the driver for what has no code. */
const WORDS = /timeout|Connection terminated|Client has encountered a connection error|not queryable/i;

/** Errors of the driver or the connection, in contrast to those that the work itself throws. */
export function isDatabaseError(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return true;
  if (!(error instanceof Error)) return false;
  const { code = '', message } = error as NodeJS.ErrnoException;
  return ON_THE_WAY.has(code) || WORDS.test(message);
}

/**
 * Whether an error of the driver says that the database cannot answer now, and the same may be asked again later. A password, a
 * certificate or a statement that the server refuses is none: time does not mend that.
 */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  if (error instanceof pg.DatabaseError) return code.length !== 5 || CLASSES.has(code.slice(0, 2));
  return NO_PROMISE.includes(code) || isDatabaseError(error);
}
