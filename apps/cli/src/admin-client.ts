import { Agent, request } from 'undici';
import { CliError } from './output.ts';
import type { OperatorProfile } from './profile.ts';

/** Methods of the admin API. */
export type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** What goes with a call: a body, why, and an id that makes a repetition the same change. */
export interface CallOptions {
  readonly body?: object;
  readonly reason?: string;
  readonly id?: string;
  /** Refuse to replace what is there. */
  readonly onlyNew?: boolean;
}

const TIMEOUT_MS = 120_000;
/** How long a failover of the database is waited for, ms. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 500;

/** A client of the admin API. */
export class AdminClient {
  readonly #profile: Pick<OperatorProfile, 'url' | 'ca' | 'token'>;
  readonly #agent: Agent;

  constructor(profile: Pick<OperatorProfile, 'url' | 'ca' | 'token'>) {
    this.#profile = profile;
    this.#agent = new Agent({ connect: { ca: profile.ca }, headersTimeout: TIMEOUT_MS });
  }

  /**
   * One call; `reason` goes into the audit log. While the database fails over it is repeated, with the same id where it has
   * one. @throws CliError with the server's words
   */
  async call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let attempt = 1; ; attempt++) {
      const { status, json } = await this.#once(method, path, options);
      if (status < 400) return json as T;
      const again = status === 503 && method !== 'POST' && performance.now() < deadline;
      if (!again) throw refusal(status, json as { title?: string; code?: string });
      if (attempt === 1) process.stderr.write('the database does not answer; trying again …\n');
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #once(method: Method, path: string, options: CallOptions): Promise<{ status: number; json: unknown }> {
    const { url, token } = this.#profile;
    const answer = await request(`${url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(options.reason === undefined ? {} : { 'sallyport-reason': encodeURIComponent(options.reason) }),
        ...(options.id === undefined ? {} : { 'sallyport-request': options.id }),
        ...(options.onlyNew ? { 'if-none-match': '*' } : {}),
        ...(options.body ? { 'content-type': 'application/json' } : {}),
      },
      body: options.body ? JSON.stringify(options.body) : null,
    }).catch((error: Error) => {
      throw new CliError(
        `the Security server at ${url} does not answer: ${error.message}`,
        'is it running? see: npm start',
      );
    });
    return { status: answer.statusCode, json: await answer.body.json() };
  }
}

function refusal(status: number, { title = `status ${status}`, code }: { title?: string; code?: string }): CliError {
  // Codes are for programs; what people need is in the title.
  return new CliError(title, status === 401 ? 'run: sallyport login' : undefined, code);
}
