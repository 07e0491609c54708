import { ProblemError } from '@sallyport/http-service';
import { isText } from '@sallyport/security-api';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** PEM has lines (RFC 7468); nothing else that we take has. */
const PEM = /^\s*-----BEGIN /;
/** Nesting that no body of ours has. */
const MAX_DEPTH = 32;
/** Header fields that reach a store. */
const FIELDS = ['sallyport-reason', 'sallyport-request'] as const;

/** Whatever reaches a rule or a store is text without control characters, wherever in a request it stands. */
export function addTextCheck(service: FastifyInstance): void {
  service.addHook('preValidation', async (request: FastifyRequest) => {
    const { params, query, body, headers } = request;
    const fields = FIELDS.map((name) => headers[name]);
    if (!isClean([params, query, body, fields], 0))
      throw new ProblemError('ERR_SECURITY_TEXT', 'a text has control characters, or is nested too deeply');
  });
}

function isClean(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return isText(PEM.test(value) ? value.replace(/[\r\n\t]/g, '') : value);
  if (typeof value !== 'object' || value === null) return true;
  if (depth > MAX_DEPTH) return false;
  return Object.entries(value).every(([name, part]) => isText(name) && isClean(part, depth + 1));
}
