import { Agent, request } from 'undici';
import { CliError } from './output.ts';
import type { OperatorProfile } from './profile.ts';

/** Methods of the admin API. */
export type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

const TIMEOUT_MS = 120_000;

/** A client of the admin API. */
export class AdminClient {
  readonly #profile: Pick<OperatorProfile, 'url' | 'ca' | 'token'>;
  readonly #agent: Agent;

  constructor(profile: Pick<OperatorProfile, 'url' | 'ca' | 'token'>) {
    this.#profile = profile;
    this.#agent = new Agent({ connect: { ca: profile.ca }, headersTimeout: TIMEOUT_MS });
  }

  /** One call; `reason` goes into the audit log. @throws CliError with the server's words */
  async call<T>(method: Method, path: string, options: { body?: object; reason?: string } = {}): Promise<T> {
    const { url, token } = this.#profile;
    const answer = await request(`${url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(options.reason === undefined ? {} : { 'sallyport-reason': encodeURIComponent(options.reason) }),
        ...(options.body ? { 'content-type': 'application/json' } : {}),
      },
      body: options.body ? JSON.stringify(options.body) : null,
    }).catch((error: Error) => {
      throw new CliError(
        `the Security server at ${url} does not answer: ${error.message}`,
        'is it running? see: npm start',
      );
    });
    const json = (await answer.body.json()) as { title?: string; code?: string };
    if (answer.statusCode < 400) return json as T;
    const next = answer.statusCode === 401 ? 'run: sallyport login' : undefined;
    throw new CliError(`${json.title ?? `status ${answer.statusCode}`} (${json.code ?? answer.statusCode})`, next);
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
