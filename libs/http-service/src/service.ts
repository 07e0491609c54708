import type { ServerOptions } from 'node:https';
import { findProblem, PROBLEMS, type ProblemCode, type ProblemStatus } from '@sallyport/security-api/problems';
import type { Log, Metrics } from '@sallyport/telemetry';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { closeWithAnswers } from './closing.ts';
import { validationWords } from './validation.ts';

/** What a service is made of. */
export interface ServiceOptions {
  readonly log: Log;
  /** TLS of the listener; absent only for loopback and health listeners. */
  readonly https?: ServerOptions;
  readonly bodyLimitBytes?: number;
  /** Paths may have double slashes and one at the end, as tenant URLs of other people's programs do. */
  readonly lenientSlashes?: boolean;
  /** Answers a path that cannot be decoded in its own way; false leaves it to the service. */
  readonly refusePath?: (request: FastifyRequest, reply: FastifyReply) => unknown;
  /** True when the service can do its work now. */
  readonly ready: () => boolean;
}

const REQUEST_TIMEOUT_MS = 30_000;
/** Seconds after which a client may try again what could not be done now. */
const RETRY_AFTER_SECONDS = '5';
const HEADERS_LIMIT = 32 * 1024;

/**
 * Refuses a request in words. The status is that of the code, or another one that the code may have, where it is said; this is all
 * that anybody who is refused hears.
 */
export class ProblemError<Code extends ProblemCode = ProblemCode> extends Error {
  readonly code: Code;
  readonly status: number;

  constructor(code: Code, words: string, status: ProblemStatus<Code> = PROBLEMS[code].status as ProblemStatus<Code>) {
    super(words);
    this.name = 'ProblemError';
    this.code = code;
    this.status = status;
  }
}

/** A fastify with limits and RFC 9457 errors; a code that `PROBLEMS` does not know is a 500 without detail. It does not listen. */
export function createService(options: ServiceOptions): FastifyInstance {
  const service = Fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    // Strict: what a schema does not name is an error, and no text becomes a number.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, allErrors: false, verbose: true } },
    bodyLimit: options.bodyLimitBytes ?? 256 * 1024,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: {
      maxParamLength: 256,
      ignoreTrailingSlash: options.lenientSlashes ?? false,
      ignoreDuplicateSlashes: options.lenientSlashes ?? false,
    },
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      options.refusePath?.(request, reply) || sendError(options.log, error, reply),
    ...(options.https ? { https: { ...options.https, maxHeaderSize: HEADERS_LIMIT } } : {}),
  } as object) as FastifyInstance;
  closeWithAnswers(service);
  service.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
  });
  service.setErrorHandler((error: FastifyError, _request, reply) => sendError(options.log, error, reply));
  service.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, 'ERR_HTTP_NOT_FOUND', PROBLEMS.ERR_HTTP_NOT_FOUND),
  );
  return service;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without a credential, whatever else of the service needs one. */
    open?: boolean;
  }
}

/** How a server stands. */
interface Standing extends Pick<ServiceOptions, 'ready'> {
  /** What its start waits for, in words; undefined while nothing is, and where strangers ask. */
  readonly waitsFor?: () => string | undefined;
}

/** Adds `/healthz` and `/readyz`, which load balancers ask without a credential. */
export function addHealthRoutes(service: FastifyInstance, { ready, waitsFor }: Standing): void {
  const hidden = { schema: { hide: true } as object, config: { open: true } };
  service.get('/healthz', hidden, async () => ({ status: 'ok' }));
  // 404 rather than 503: load balancers then drain instead of cutting what is open.
  service.get('/readyz', hidden, async (_request, reply) =>
    ready() ? { status: 'ready' } : reply.code(404).send({ status: 'not ready', waitsFor: waitsFor?.() }),
  );
}

/** What the listener for whoever watches the farm tells. */
interface MetricsServiceParts {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Absent: the server tells that elsewhere, or not before it is up. */
  readonly standing?: Standing;
}

/**
 * `/metrics`, and how the server stands from the beginning of its start on: what it tells of users and traffic is for whoever watches
 * the farm, so it has a listener of its own, and no other one shows it. It does not listen.
 */
export function createMetricsService({ log, metrics, standing }: MetricsServiceParts): FastifyInstance {
  const service = createService({ log, ready: () => true });
  if (standing) addHealthRoutes(service, standing);
  service.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render()));
  return service;
}

interface Sent {
  readonly status: number;
  readonly title: string;
}

function sendProblem(reply: FastifyReply, code: ProblemCode, { status, title }: Sent): FastifyReply {
  const body = JSON.stringify({ type: `urn:sallyport:problem:${code}`, title, status, code });
  if (status === 503) reply.header('retry-after', RETRY_AFTER_SECONDS);
  return reply.code(status).type('application/problem+json').send(body);
}

function sendError(log: Log, error: FastifyError | ProblemError, reply: FastifyReply): FastifyReply {
  if (error instanceof ProblemError)
    return sendProblem(reply, error.code, { status: error.status, title: error.message });
  const known = findProblem(error.code);
  if (known) {
    if (known.status >= 500) log.error({ err: error }, 'a request failed');
    const title = known.status < 500 ? error.message : known.title;
    return sendProblem(reply, error.code as ProblemCode, { status: known.status, title });
  }
  if (error.validation) return sendProblem(reply, 'ERR_HTTP_INVALID', { status: 400, title: validationWords(error) });
  const status = error.statusCode ?? 500;
  // Codes of libraries are no part of our API.
  if (status < 500) return sendProblem(reply, 'ERR_HTTP_INVALID', { status, title: error.message });
  log.error({ err: error }, 'a request failed');
  return sendProblem(reply, 'ERR_HTTP_INTERNAL', PROBLEMS.ERR_HTTP_INTERNAL);
}
