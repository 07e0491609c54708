import type { AppProcess } from '@sallyport/local-cluster';
import { Agent, request } from 'undici';

/** How long a call may take, ms: with a million sessions a revocation of everything does. */
const TIMEOUT_MS = 600_000;

/** The operator of a gateway that is measured. */
export class Operator {
  readonly #url: string;
  readonly #agent: Agent;
  #token = '';

  private constructor({ adminUrl, ca }: AppProcess['ready']) {
    this.#url = adminUrl!;
    this.#agent = new Agent({ connect: { ca: ca! }, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
  }

  /** The first one of a Security server that was just started, by the one-time token that it gave. */
  static async first(ready: AppProcess['ready']): Promise<Operator> {
    const operator = new Operator(ready);
    const oneTime = { token: ready['oneTimeToken'], name: 'bench' };
    operator.#token = (await operator.call('POST', '/v1/operators/login', oneTime))['token'] as string;
    return operator;
  }

  /** Asks the admin API. @throws Error with what it answered */
  async call(method: 'GET' | 'PUT' | 'POST' | 'PATCH', path: string, body?: object): Promise<Record<string, unknown>> {
    const answer = await request(`${this.#url}${path}`, {
      method,
      headers: {
        'sallyport-reason': 'bench',
        ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      body: body ? JSON.stringify(body) : null,
      dispatcher: this.#agent,
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  }

  /** Closes its connections. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
