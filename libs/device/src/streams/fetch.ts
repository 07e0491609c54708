import { type Field, isIdempotent, normaliseMethod, type RequestHead } from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import type { CallResponse, RequestBody } from './http-call.ts';

/** Sends one request; retries are the caller's. */
export type Send = (
  head: RequestHead,
  body: RequestBody,
  signal: AbortSignal,
) => Promise<CallResponse & { readonly site?: string }>;

/** Statuses whose response has no body (Fetch, "null body status"). */
const NULL_BODY = new Set([204, 205, 304]);

const SITES = new WeakMap<Response, string>();

/** Name of the site by which a response of `device.fetch` came; undefined for any other response. */
export function siteOf(response: Response): string | undefined {
  return SITES.get(response);
}

/** A drop-in for `fetch`: same arguments, same Response, bodies stream in both directions. Redirects are not followed. */
export function fetchOver(send: Send): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, withDuplex(init));
    const body = await bodyOf(request, init);
    const head = headOf(request, body);
    const { status, fields, site, body: content } = await send(head, body, request.signal);
    const response = new Response(NULL_BODY.has(status) ? null : content, {
      status,
      headers: fields as [string, string][],
    });
    Object.defineProperty(response, 'url', { value: request.url });
    if (site !== undefined) SITES.set(response, site);
    return response;
  };
}

/** Streams as content need this option; it has one value only. */
function withDuplex(init: RequestInit | undefined): RequestInit | undefined {
  return init?.body === undefined ? init : ({ ...init, duplex: 'half' } as RequestInit);
}

async function bodyOf(request: Request, init: RequestInit | undefined): Promise<RequestBody> {
  const { body } = request;
  if (!body) return undefined;
  const given = init?.body;
  const whole =
    typeof given === 'string' ||
    given instanceof URLSearchParams ||
    given instanceof ArrayBuffer ||
    ArrayBuffer.isView(given);
  return whole ? new Uint8Array(await request.arrayBuffer()) : iterate(body);
}

async function* iterate(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    reader.releaseLock();
  }
}

function headOf(request: Request, body: RequestBody): RequestHead {
  const url = new URL(request.url);
  const fields: Field[] = [...request.headers].filter(([name]) => name !== 'content-length');
  if (body instanceof Uint8Array) fields.push(['content-length', String(body.length)]);
  return {
    method: normaliseMethod(request.method),
    scheme: url.protocol.slice(0, -1),
    authority: url.host,
    path: `${url.pathname}${url.search}`,
    fields,
  };
}

/** True when a failed request may be sent again: it certainly did not run, or running twice does no harm. */
export function mayRetry(error: unknown, method: string, body: RequestBody): boolean {
  if (!(error instanceof DeviceError)) return false;
  const replayable = body === undefined || body instanceof Uint8Array;
  const passing = ['CONNECTION_LOST', 'NOT_PROCESSED', 'DRAINING', 'LEASE_LOST', 'CALM_DOWN'].includes(error.code);
  return replayable && passing && (!error.mayHaveRun || isIdempotent(method));
}
