import { AccessError, StoreError } from '@sallyport/access';
import { ScimError, URNS } from '@sallyport/directory';
import type { Log } from '@sallyport/telemetry';
import type { FastifyReply } from 'fastify';
import { NotInForceError } from '../revocation/in-force.ts';

/** Media type of SCIM (RFC 7644, section 3.1). */
export const SCIM_TYPE = 'application/scim+json';

/** What cannot be done now but may be later. */
export class ScimBusyError extends Error {
  readonly statusCode = 429;
}

/** A status that the RFC wants where no `scimType` fits. */
export class ScimStatusError extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, detail: string) {
    super(detail);
    this.statusCode = statusCode;
  }
}

/** Seconds after which a client may try again. */
const RETRY_AFTER_SECONDS = '5';

/** Sends a body of SCIM. */
export function send(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).type(SCIM_TYPE).send(JSON.stringify(body));
}

/** Sends an error (RFC 7644, section 3.12). */
export function sendError(reply: FastifyReply, status: number, detail: string, scimType?: string): FastifyReply {
  if (status === 429 || status === 503) reply.header('retry-after', RETRY_AFTER_SECONDS);
  return send(reply, status, {
    schemas: [URNS.error],
    status: String(status),
    ...(scimType ? { scimType } : {}),
    detail,
  });
}

/** There is no such resource, or nothing at all. */
export function sendNotFound(reply: FastifyReply): FastifyReply {
  return sendError(reply, 404, 'there is no such resource');
}

/** Any error as its client must see it: a store that does not answer is never "not found" or "invalid". */
export function sendFailure(
  log: Log,
  error: Error & { statusCode?: number; code?: string },
  reply: FastifyReply,
): FastifyReply {
  if (error instanceof ScimError) return sendError(reply, error.status, error.message, error.scimType);
  // Of a user or a group there is another one already.
  if (error instanceof AccessError && error.code === 'ERR_ACCESS_CONFLICT')
    return sendError(reply, 409, error.message, 'uniqueness');
  if (error instanceof StoreError && error.code === 'ERR_STORE_CONFLICT')
    return sendError(reply, 409, 'taken already', 'uniqueness');
  if (error instanceof StoreError && error.code === 'ERR_STORE_INVALID')
    return sendError(reply, 400, 'a value cannot be stored', 'invalidValue');
  if (error instanceof NotInForceError) return sendError(reply, error.status, error.message);
  const status = error instanceof StoreError ? 503 : (error.statusCode ?? 500);
  if (status < 500) return sendError(reply, status, error.message, status === 400 ? 'invalidSyntax' : undefined);
  if (error instanceof ScimStatusError) return sendError(reply, status, error.message);
  log.error({ err: error }, 'a SCIM request failed');
  return sendError(
    reply,
    status,
    status === 503 ? 'the database does not answer; try again' : 'something went wrong on our side',
  );
}
