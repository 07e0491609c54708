import type { Device } from '@sallyport/device';
import { DeviceError } from '@sallyport/device';

/** What the local client is told instead of an answer. */
export interface Answer {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly text: string;
  /** A command that helps. */
  readonly next?: string;
}

const STATUS: Readonly<Record<string, number>> = {
  RESOURCE_UNKNOWN: 404,
  REQUEST_REFUSED: 403,
  FIELDS_TOO_LARGE: 431,
  BAD_REQUEST: 400,
  CONTEXT_DENIED: 403,
  APP_UPDATE_REQUIRED: 403,
  BACKEND_TIMEOUT: 504,
  NOT_ENROLLED: 401,
  SIGNED_OUT: 401,
  SESSION_EXPIRED: 401,
  SESSION_UNKNOWN: 401,
  REENROLL_REQUIRED: 401,
  REVOKED: 401,
  OFFLINE: 503,
  SITE_UNAVAILABLE: 503,
  UNAVAILABLE: 503,
  LEASE_LOST: 503,
  CALM_DOWN: 503,
  STREAM_LIMIT: 503,
};

/** What to say of an error: its code, whether the request may have run, and words. */
export function answerOf(device: Device, error: unknown): Answer {
  if (!(error instanceof DeviceError)) return plainAnswer(502, 'the request failed');
  // Whoever is signed out wants to know why.
  const code = error.code === 'SIGNED_OUT' ? (device.lastEnd?.code ?? error.code) : error.code;
  const status = STATUS[code] ?? 502;
  const next = nextOf(status);
  return {
    status,
    fields: { 'sallyport-error': code, 'sallyport-may-have-run': error.mayHaveRun ? 'yes' : 'no' },
    text: `${error.message} (${code})${next === undefined ? '' : `; ${next.why}: ${next.command}`}`,
    ...(next && { next: next.command }),
  };
}

function nextOf(status: number): { readonly why: string; readonly command: string } | undefined {
  if (status === 401) return { why: 'sign in again', command: 'sallyport device login --user <name>' };
  if (status === 404) return { why: 'what you may use', command: 'sallyport device status' };
  if (status === 431)
    return {
      why: 'an operator can allow more',
      command: 'sallyport resource set <name> --fields count=200 bytes=65536',
    };
  return undefined;
}

/** An answer of the forward proxy itself. */
export function plainAnswer(status: number, text: string): Answer {
  const fields = status === 407 ? { 'proxy-authenticate': 'Basic realm="sallyport"' } : {};
  return { status, fields: { ...fields, 'sallyport-may-have-run': 'no' }, text };
}
