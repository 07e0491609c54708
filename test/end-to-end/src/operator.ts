import { type AnswerOf, type Operation, operators } from '@sallyport/security-api/admin';
import { AdminClient, type CallOf } from '@sallyport/security-client/admin';
import { Agent, request } from 'undici';

const REASON = 'end-to-end test';

/** An operator: calls by the operations of the admin API, or raw HTTP, where just that is tested. */
export class Operator {
  readonly #url: string;
  readonly #ca: string;
  readonly #agent: Agent;
  #client: AdminClient;
  #token = '';

  constructor(url: string, ca: string, token?: string) {
    this.#url = url;
    this.#ca = ca;
    this.#token = token ?? '';
    this.#agent = new Agent({ connect: { ca }, headersTimeout: 120_000 });
    this.#client = new AdminClient({ urls: [url], ca, token });
  }

  /** The same operator at another node of the realm. */
  at(url: string): Operator {
    return new Operator(url, this.#ca, this.#token);
  }

  /** Somebody else, by their credential. */
  with(token: string): Operator {
    return new Operator(this.#url, this.#ca, token);
  }

  /** Exchanges the one-time token of the first start. */
  async login(oneTimeToken: string): Promise<void> {
    const { token } = await this.call(operators.login, { body: { token: oneTimeToken, name: 'tester' } });
    await this.#client.close();
    this.#token = token;
    this.#client = new AdminClient({ urls: [this.#url], ca: this.#ca, token });
  }

  /** Calls an operation, with a reason. @throws AdminError */
  call<O extends Operation>(operation: O, ...[call]: CallOf<O, 'reason'>): Promise<AnswerOf<O>> {
    const reasoned = [{ ...call, ...(operation.reason ? { reason: REASON } : {}) }];
    return this.#client.call(operation, ...(reasoned as unknown as CallOf<O>));
  }

  /** One call, whatever its status, as a program would write it that has nothing but the OpenAPI document. */
  async raw(
    method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; json: Record<string, unknown> }> {
    const answer = await request(`${this.#url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        'sallyport-reason': REASON,
        ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      body: body ? JSON.stringify(body) : null,
    });
    return { status: answer.statusCode, json: (await answer.body.json()) as Record<string, unknown> };
  }

  /** Closes its connections. */
  async close(): Promise<void> {
    await Promise.all([this.#client.close(), this.#agent.destroy()]);
  }
}
