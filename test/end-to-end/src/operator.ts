import { Agent, request } from 'undici';

/** A client of the admin API, as a program would write one: the OpenAPI document is all it knows. */
export class Operator {
  readonly #url: string;
  readonly #agent: Agent;
  #token = '';

  constructor(url: string, ca: string) {
    this.#url = url;
    this.#agent = new Agent({ connect: { ca }, headersTimeout: 120_000 });
  }

  /** Exchanges the one-time token of the first start. */
  async login(oneTimeToken: string): Promise<void> {
    const { token } = await this.call('POST', '/v1/operators/login', { token: oneTimeToken, name: 'tester' });
    this.#token = token as string;
  }

  /** One call. @throws Error with `status` and `code` of the problem */
  async call(
    method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: object,
  ): Promise<Record<string, unknown>> {
    const { status, json } = await this.raw(method, path, body);
    if (status >= 400)
      throw Object.assign(new Error(`${method} ${path}: ${JSON.stringify(json)}`), { status, code: json['code'] });
    return json;
  }

  /** One call, whatever its status. */
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
        'sallyport-reason': 'end-to-end test',
        ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      body: body ? JSON.stringify(body) : null,
    });
    return { status: answer.statusCode, json: (await answer.body.json()) as Record<string, unknown> };
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
