import type { Actor, OperatorAtWork } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import { parseReason, REASON_LENGTH, REASON_WORDS } from '@sallyport/security-api';
import {
  type BodyOf,
  type GivenAnswerOf,
  IdPattern,
  IdWords,
  type Operation,
  type ParamsOf,
  ProblemView,
  type QueryOf,
} from '@sallyport/security-api/admin';
import { PROBLEMS, type Problem, type ProblemCode } from '@sallyport/security-api/problems';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import Type from 'typebox';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The operation that a route is; every route is one, or is open and hidden. */
    operation?: Operation;
  }
}

/** What an operation is asked, as it says itself: who asks, why, and by which id of their own only where it has that. */
export type Asked<O extends Operation> = {
  readonly params: ParamsOf<O>;
  readonly query: QueryOf<O>;
  readonly body: BodyOf<O>;
  /** Address that the request came from. */
  readonly ip: string;
} & (O extends { readonly open: true } ? unknown : { readonly operator: OperatorAtWork }) &
  (O extends { readonly reason: true } | { readonly publisher: true } ? { readonly by: Actor } : unknown) &
  (O extends { readonly repeatable: true } ? { readonly requestId: string | undefined } : unknown) &
  (O extends { readonly onlyNew: true } ? { readonly onlyNew: boolean } : unknown);

/** Serves an operation of the admin API: route, schemas and what the document tells are made from it. */
export function serve<O extends Operation>(
  service: FastifyInstance,
  operation: O,
  answer: (asked: Asked<O>) => Promise<GivenAnswerOf<O>>,
): void {
  const { method, path: url, maxBodyBytes } = operation;
  service.route({
    method,
    url,
    schema: schemaOf(operation),
    config: { operation },
    ...(maxBodyBytes === undefined ? {} : { bodyLimit: maxBodyBytes }),
    handler: async (request) => answer(askedOf(operation, request)),
  });
}

function askedOf<O extends Operation>(operation: O, request: FastifyRequest): Asked<O> {
  const { params, query, body, ip, operator, publisher, headers } = request;
  const actor = publisher ? `publisher ${publisher.name}` : operator?.operator.name;
  const asked = {
    ...{ params, query, body, ip, operator },
    ...(operation.reason || operation.publisher
      ? { by: { actor, reason: operation.reason ? reasonOf(request) : '' } }
      : {}),
    ...(operation.repeatable ? { requestId: requestIdOf(request) } : {}),
    ...(operation.onlyNew ? { onlyNew: headers['if-none-match'] === '*' } : {}),
  };
  return asked as unknown as Asked<O>; // Its schemas have checked what its types say.
}

/** Of a character beyond ASCII percent-encoding makes up to nine. */
const MAX_ENCODED = 9;
const REQUEST_ID = new RegExp(IdPattern);
const ReasonField = Type.String({
  minLength: REASON_LENGTH.min,
  maxLength: REASON_LENGTH.max * MAX_ENCODED,
  description: `why, for the audit log: ${REASON_WORDS}, percent-encoded where they are not ASCII`,
});
const RequestField = Type.String({
  pattern: IdPattern,
  description: `the client's own id of this change, ${IdWords}: repeated with it, it is done once`,
});
const OnlyNewField = Type.String({ description: '* to replace nothing: what is there already is a conflict' });

function schemaOf(operation: Operation): object {
  const { id, about, params, query, body, open, reason, repeatable, onlyNew } = operation;
  const fields = {
    ...(reason ? { 'sallyport-reason': ReasonField } : {}),
    ...(repeatable ? { 'sallyport-request': Type.Optional(RequestField) } : {}),
    ...(onlyNew ? { 'if-none-match': Type.Optional(OnlyNewField) } : {}),
  };
  return {
    operationId: id,
    summary: about,
    tags: [id.split('.')[0]!],
    ...(body ? { body } : {}),
    ...(params ? { params } : {}),
    ...(query ? { querystring: query } : {}),
    ...(Object.keys(fields).length > 0 ? { headers: Type.Object(fields) } : {}),
    ...(open ? { security: [] } : {}),
    response: responsesOf(operation),
  };
}

function responsesOf({ answer, open, reason, errors = [] }: Operation): object {
  // Whoever needs no credential is refused by another status than whoever needs one.
  const statusOf = (code: ProblemCode): number => {
    const { status, also = [status] }: Problem = PROBLEMS[code];
    return open && status === 401 ? also[0]! : status;
  };
  const why = reason ? '; ERR_SECURITY_REASON: sallyport-reason is missing, or no line of 3 to 500 characters' : '';
  const own = Object.groupBy(errors, statusOf);
  const statuses = Object.entries(own).map(([status, codes = []]) => [
    status,
    problem(codes.map((code) => `${code}: ${PROBLEMS[code].title}`).join('; ')),
  ]);
  return {
    ...Object.fromEntries(statuses),
    200: answer,
    400: problem(`something in the request is not as described here${why}`),
    ...(open ? {} : { 401: problem('ERR_SECURITY_OPERATOR: no credential, or one that is not good') }),
    '4xx': problem('refused; the code says why'),
    '5xx': problem('nothing was done, or it is not known: the code says which; 503 with Retry-After'),
  };
}

/** An error as the document tells it (RFC 9457). */
function problem(description: string): object {
  return { description, content: { 'application/problem+json': { schema: ProblemView } } };
}

/** Looks at the headers that an operation has, before its body is read. @throws ProblemError 400 */
export function checkFields(request: FastifyRequest): void {
  const { operation } = request.routeOptions.config;
  if (operation?.reason) reasonOf(request);
  if (operation?.repeatable) requestIdOf(request);
}

function reasonOf({ headers }: FastifyRequest): string {
  const reason = headers['sallyport-reason'];
  return toReason(typeof reason === 'string' ? decodeReason(reason) : '');
}

/** What somebody gave as a reason, as it goes into the audit log. @throws ProblemError 400 */
export function toReason(text: string): string {
  const reason = parseReason(text);
  if (reason === undefined) throw new ProblemError('ERR_SECURITY_REASON', `a reason is needed: ${REASON_WORDS}`);
  return reason;
}

/** The client's own id of a change, from the header `sallyport-request`: repeated with it, a change is done once. */
function requestIdOf({ headers }: FastifyRequest): string | undefined {
  const id = headers['sallyport-request'];
  if (id === undefined || (typeof id === 'string' && REQUEST_ID.test(id))) return id;
  throw new ProblemError('ERR_SECURITY_REQUEST', 'sallyport-request is 8 to 64 letters, digits and dashes');
}

/** Reasons in other alphabets come percent-encoded, because header fields are ASCII. */
function decodeReason(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
