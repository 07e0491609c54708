import { parseJson } from '@sallyport/security-api';
import {
  type AnswerOf,
  AUTHORITIES_FIELD,
  type GivenBodyOf,
  MAX_PAGE,
  type Operation,
  type ParamsOf,
  type QueryOf,
} from '@sallyport/security-api/admin';
import type { ProblemCode } from '@sallyport/security-api/problems';
import { Agent, request } from 'undici';
import { livingConnector } from './living-connection.ts';
import { isUnsent } from './unsent.ts';

/** How long an answer may take unless said otherwise, ms. */
const TIMEOUT_MS = 120_000;

/** Why a call of the admin API came to nothing: the server's refusal in its words, or that it did not answer. */
export class AdminError extends Error {
  /** `ERR_ADMIN_UNREACHABLE` when there was no whole answer, or none of a Security server. */
  readonly code: ProblemCode | 'ERR_ADMIN_UNREACHABLE';
  /** Status of the answer; undefined when there was none, or not all of it. */
  readonly status: number | undefined;

  /** True when nothing was sent, and so nothing done. */
  get unsent(): boolean {
    return isUnsent(this.cause);
  }

  constructor(code: AdminError['code'], words: string, options: ErrorOptions & { readonly status?: number } = {}) {
    super(words, options);
    this.name = 'AdminError';
    this.code = code;
    this.status = options.status;
  }
}

/** Where the admin API is, and who asks. */
export interface AdminPlace {
  /** Any of the nodes will do; the next one is asked when a call is made again. */
  readonly urls: readonly [string, ...string[]];
  /** PEM of the gateway's CA. */
  readonly ca: string;
  /** The operator's credential; absent for what is open. */
  readonly token?: string | undefined;
  /** How long a connection may take, ms. */
  readonly connectMs?: number;
  /** How long an answer may take, ms: a revocation waits until it is in force. */
  readonly timeoutMs?: number;
  /**
   * After how many ms a call that failed is made again; undefined gives up. Absent: never. A change
   * that is no longer known to have been done may only be repeated when it has an id.
   */
  readonly again?: (error: AdminError, operation: Operation, tried: Tried) => number | undefined;
}

/** How a call has fared that failed. */
export interface Tried {
  /** Since it was first made, ms. */
  readonly ms: number;
  /** How often no Security server answered it. */
  readonly unanswered: number;
}

type Wanted<Name extends string, Part> = [Part] extends [undefined] ? unknown : { readonly [Key in Name]: Part };
type Possible<Name extends string, Part> = [Part] extends [undefined] ? unknown : { readonly [Key in Name]?: Part };

/** What an operation is called with, as it says itself; an id of the caller's own makes a repetition the same change. */
export type Call<O extends Operation> = Wanted<'params', ParamsOf<O>> &
  Possible<'query', QueryOf<O>> &
  Wanted<'body', GivenBodyOf<O>> &
  (O extends { readonly reason: true } ? { readonly reason: string } : unknown) &
  (O extends { readonly repeatable: true } ? { readonly requestId?: string } : unknown) &
  (O extends { readonly onlyNew: true } ? { readonly onlyNew?: boolean } : unknown);

/** A call, which need not be given where there is nothing to say; without what somebody says for all calls. */
export type CallOf<O extends Operation, Said extends string = never> =
  object extends Omit<Call<O>, Said> ? [call?: Omit<Call<O>, Said>] : [call: Omit<Call<O>, Said>];

/** A list in pages. */
export type ListOperation = Operation & { readonly cursor: string };
/** A row of a list. */
export type RowOf<O extends Operation> = AnswerOf<O> extends readonly (infer Row)[] ? Row : never;

/** Any call, once its types have been looked at. */
interface AnyCall {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: object;
  readonly reason?: string;
  readonly requestId?: string;
  readonly onlyNew?: boolean;
}

/** A client of the admin API, made from its operations. */
export class AdminClient {
  readonly #place: AdminPlace;
  readonly #urls: string[];
  readonly #agent: Agent;
  #authorities: string | undefined;

  constructor(place: AdminPlace) {
    const { urls, ca, connectMs, timeoutMs = TIMEOUT_MS } = place;
    this.#place = place;
    this.#urls = [...urls];
    const allowH2 = false;
    const connect = livingConnector({ ca, allowH2, ...(connectMs === undefined ? {} : { timeout: connectMs }) });
    this.#agent = new Agent({ connect, allowH2, headersTimeout: timeoutMs });
  }

  /** Calls an operation. @throws AdminError */
  async call<O extends Operation>(operation: O, ...[call]: CallOf<O>): Promise<AnswerOf<O>> {
    const startedAt = performance.now();
    for (let unanswered = 0; ; ) {
      try {
        return (await this.#once(operation, (call ?? {}) as AnyCall)) as AnswerOf<O>;
      } catch (error) {
        if (!(error instanceof AdminError)) throw error;
        if (error.code === 'ERR_ADMIN_UNREACHABLE') unanswered += 1;
        const pauseMs = this.#place.again?.(error, operation, { ms: performance.now() - startedAt, unanswered });
        if (pauseMs === undefined) throw error;
        this.#urls.push(this.#urls.shift()!);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** All rows of a list, page by page. @throws AdminError */
  async all<O extends ListOperation>(operation: O, ...[call]: CallOf<O>): Promise<RowOf<O>[]> {
    const rows: RowOf<O>[] = [];
    const { query, ...rest } = (call ?? {}) as AnyCall;
    for (let after = ''; ; after = String((rows.at(-1) as Readonly<Record<string, unknown>>)[operation.cursor])) {
      const page = { ...rest, query: { ...query, limit: String(MAX_PAGE), after } };
      // A page has nothing but what every list takes, and keeps what the caller gave.
      const read = (await this.call(operation, ...([page] as unknown as CallOf<O>))) as RowOf<O>[];
      rows.push(...read);
      if (read.length < MAX_PAGE) return rows;
    }
  }

  /** Which CAs count by the last answer: SHA-256 of their PEM, hex. */
  get authorities(): string | undefined {
    return this.#authorities;
  }

  /** Closes its connections. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #once({ method, path }: Operation, call: AnyCall): Promise<unknown> {
    const { token } = this.#place;
    const url = this.#urls[0]!;
    const { body, reason, requestId } = call;
    const answer = await request(`${url}${targetOf(path, call)}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(reason === undefined ? {} : { 'sallyport-reason': encodeURIComponent(reason) }),
        ...(requestId === undefined ? {} : { 'sallyport-request': requestId }),
        ...(call.onlyNew ? { 'if-none-match': '*' } : {}),
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      body: body ? JSON.stringify(body) : null,
    })
      .then(async ({ statusCode, headers, body: content }) => {
        const authorities = headers[AUTHORITIES_FIELD];
        if (typeof authorities === 'string') this.#authorities = authorities;
        return { status: statusCode, text: await content.text() };
      })
      .catch((error: Error) => {
        const words = `the Security server at ${url} does not answer: ${error.message}`;
        throw new AdminError('ERR_ADMIN_UNREACHABLE', words, { cause: error });
      });
    const { status } = answer;
    const json = parseJson(answer.text);
    if (!isObject(json)) {
      const words = `what answers at ${url} with status ${status} is no Security server`;
      throw new AdminError('ERR_ADMIN_UNREACHABLE', words, { status });
    }
    if (status < 400) return json;
    throw refusal(status, json);
  }
}

/** Path and query of a call. */
function targetOf(path: string, { params = {}, query = {} }: AnyCall): string {
  const filled = path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
  const given = Object.entries(query).filter((part): part is [string, string] => part[1] !== undefined);
  return given.length === 0 ? filled : `${filled}?${new URLSearchParams(given)}`;
}

function isObject(json: unknown): json is object {
  return typeof json === 'object' && json !== null;
}

interface Refusal {
  readonly title?: string;
  readonly code?: ProblemCode;
}

/** Codes are for programs; what people need is in the title. */
function refusal(status: number, { title = `status ${status}`, code = 'ERR_HTTP_INTERNAL' }: Refusal): AdminError {
  return new AdminError(code, title, { status });
}
