import type { Actor } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import { isText, NamePattern, NameWords, ProblemView, Text } from '@sallyport/security-api';
import type { FastifyRequest } from 'fastify';
import Type, { type Static, type TSchema } from 'typebox';

/** Path parameters and the plainest answer. */
export const NameParam = Type.Object({ name: Type.String({ pattern: NamePattern, description: NameWords }) });
export type NameParam = Static<typeof NameParam>;
export const IdParam = Type.Object({
  id: Type.String({ pattern: '^[A-Za-z0-9-]{8,64}$', description: '8 to 64 letters, digits and -' }),
});
export type IdParam = Static<typeof IdParam>;
export const NodeParam = Type.Object({ id: Text({ minLength: 1, maxLength: 128 }) });
export type NodeParam = Static<typeof NodeParam>;
export const Done = Type.Object({ done: Type.Boolean() });

/** Schema of an operation: what it takes, what it answers, and that errors are problem+json. */
export function operation(
  operationId: string,
  summary: string,
  answer: TSchema,
  request: { body?: TSchema; params?: TSchema; querystring?: TSchema } = {},
) {
  const responses = { 200: answer, '4xx': ProblemView, '5xx': ProblemView };
  return { schema: { operationId, summary, tags: [operationId.split('.')[0]!], ...request, response: responses } };
}

/** Who acts and why. Every change needs the header `sallyport-reason`; it goes into the audit log. */
export function actorOf(request: FastifyRequest): Actor {
  const reason = request.headers['sallyport-reason'];
  if (typeof reason !== 'string' || reason.length < 3 || reason.length > 500) {
    throw new ProblemError(400, 'ERR_SECURITY_REASON', 'the header sallyport-reason (3 to 500 characters) says why');
  }
  const decoded = decodeReason(reason);
  if (!isText(decoded)) throw new ProblemError(400, 'ERR_SECURITY_REASON', 'sallyport-reason has control characters');
  return { actor: request.operator.operator.name, reason: decoded };
}

/** The client's own id of a change, from the header `sallyport-request`: repeated with it, a change is done once. */
export function requestIdOf(request: FastifyRequest): string | undefined {
  const id = request.headers['sallyport-request'];
  if (id === undefined || (typeof id === 'string' && /^[A-Za-z0-9-]{8,64}$/.test(id))) return id;
  throw new ProblemError(400, 'ERR_SECURITY_REQUEST', 'sallyport-request is 8 to 64 letters, digits and dashes');
}

/** Reasons in other alphabets come percent-encoded, because header fields are ASCII. */
function decodeReason(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
