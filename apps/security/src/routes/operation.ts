import type { Actor } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import { isText, NamePattern, NameWords, ProblemView, Text } from '@sallyport/security-api';
import type { FastifyRequest, RouteShorthandOptions } from 'fastify';
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

/** What an operation takes beside its id, and who may ask for it. */
export interface OperationOptions {
  readonly body?: TSchema;
  readonly params?: TSchema;
  readonly querystring?: TSchema;
  /** Answered without a credential. */
  readonly open?: boolean;
  /** It has an id of the client's own: repeated with it, it is done once. */
  readonly repeatable?: boolean;
  /** A client may say that it must not replace anything. */
  readonly onlyNew?: boolean;
}

/** What is looked at before the body of a request is: what the document says of an operation is read from here, too. */
export interface OperationRule {
  readonly open: boolean;
  readonly changes: boolean;
  readonly repeatable: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The rule of the operation that a route is; every route has one, or is open and hidden. */
    operation?: OperationRule;
  }
}

const MIN_REASON = 3;
const MAX_REASON = 500;
const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;
const ReasonField = Type.String({
  minLength: MIN_REASON,
  maxLength: MAX_REASON,
  description: 'why, for the audit log: 3 to 500 characters on one line, percent-encoded where they are not ASCII',
});
const RequestField = Type.String({
  pattern: REQUEST_ID.source,
  description: "the client's own id of this change, 8 to 64 letters, digits and -: repeated with it, it is done once",
});
const OnlyNewField = Type.String({ description: '* to replace nothing: what is there already is a conflict' });

/** An operation that changes nothing: what it takes, what it answers, and that errors are problem+json. */
export function operation(
  operationId: string,
  summary: string,
  answer: TSchema,
  options: OperationOptions = {},
): RouteShorthandOptions {
  return routeOf({ operationId, summary, answer, options, changes: false });
}

/** An operation that goes into the audit log: the header `sallyport-reason` says why. */
export function changing(
  operationId: string,
  summary: string,
  answer: TSchema,
  options: OperationOptions = {},
): RouteShorthandOptions {
  return routeOf({ operationId, summary, answer, options, changes: true });
}

interface OperationParts {
  readonly operationId: string;
  readonly summary: string;
  readonly answer: TSchema;
  readonly options: OperationOptions;
  readonly changes: boolean;
}

function routeOf({ operationId, summary, answer, options, changes }: OperationParts): RouteShorthandOptions {
  const { open = false, repeatable = false, onlyNew = false, ...request } = options;
  const fields = {
    ...(changes ? { 'sallyport-reason': ReasonField } : {}),
    ...(repeatable ? { 'sallyport-request': Type.Optional(RequestField) } : {}),
    ...(onlyNew ? { 'if-none-match': Type.Optional(OnlyNewField) } : {}),
  };
  const schema = {
    operationId,
    summary,
    tags: [operationId.split('.')[0]!],
    ...request,
    ...(Object.keys(fields).length > 0 ? { headers: Type.Object(fields) } : {}),
    ...(open ? { security: [] } : {}),
    response: responsesOf(answer, { open, changes }),
  };
  return { schema, config: { operation: { open, changes, repeatable } } };
}

function responsesOf(answer: TSchema, { open, changes }: Pick<OperationRule, 'open' | 'changes'>): object {
  const reason = changes ? '; ERR_SECURITY_REASON: sallyport-reason is missing, or no line of 3 to 500 characters' : '';
  return {
    200: answer,
    400: problem(`something in the request is not as described here${reason}`),
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
  const { operation: rule } = request.routeOptions.config;
  if (rule?.changes) reasonOf(request);
  if (rule?.repeatable) requestIdOf(request);
}

/** Who acts and why, in an operation that changes something. */
export function actorOf(request: FastifyRequest): Actor {
  if (!request.routeOptions.config.operation?.changes) throw new TypeError('a change that is not declared as one');
  return { actor: request.operator.operator.name, reason: reasonOf(request) };
}

function reasonOf({ headers }: FastifyRequest): string {
  const reason = headers['sallyport-reason'];
  if (typeof reason !== 'string' || reason.length < MIN_REASON || reason.length > MAX_REASON) {
    throw new ProblemError('ERR_SECURITY_REASON', 'the header sallyport-reason (3 to 500 characters) says why');
  }
  const decoded = decodeReason(reason);
  if (!isText(decoded)) throw new ProblemError('ERR_SECURITY_REASON', 'sallyport-reason has control characters');
  return decoded;
}

/** The client's own id of a change, from the header `sallyport-request`: repeated with it, a change is done once. */
export function requestIdOf(request: FastifyRequest): string | undefined {
  if (!request.routeOptions.config.operation?.repeatable) throw new TypeError('an id that is not declared');
  const id = request.headers['sallyport-request'];
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
