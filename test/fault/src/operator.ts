import { randomUUID } from 'node:crypto';
import { Agent, request } from 'undici';

/** One call of the admin API. */
export interface AdminCall {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: object;
}

/** How long a call is repeated while no node answers, ms: longer than a failover of the database. */
const PATIENCE_MS = 60_000;

/**
 * An operator's program: any node will do, and a call that got no answer is repeated with the same id at the next one.
 * Only calls that may be repeated are made here.
 */
export class Operator {
  readonly #urls: string[];
  readonly #agent: Agent;
  readonly #ca: string;
  #token = '';

  constructor(urls: readonly string[], ca: string) {
    this.#urls = [...urls];
    this.#ca = ca;
    this.#agent = new Agent({ connect: { ca, timeout: 1_000 }, headersTimeout: 70_000 });
  }

  async login(oneTimeToken: string): Promise<void> {
    const answer = await this.call<{ token: string }>({
      method: 'POST',
      path: '/v1/operators/login',
      // The id makes a repetition after a lost answer good.
      body: { token: oneTimeToken, name: 'rig', request: randomUUID() },
    });
    this.#token = answer.token;
  }

  /** The same operator at one node only. */
  at(url: string): Operator {
    const other = new Operator([url], this.#ca);
    other.#token = this.#token;
    return other;
  }

  async call<T = Record<string, unknown>>(call: AdminCall): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await this.once<T>(call);
      } catch (error) {
        const { status } = error as { status?: number };
        if ((status !== undefined && status < 500) || performance.now() > deadline) throw error;
        this.#urls.push(this.#urls.shift()!);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  /** Asks once. @throws Error with the `status`, if there was an answer */
  async once<T>({ method, path, body }: AdminCall): Promise<T> {
    const answer = await request(`${this.#urls[0]}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        'sallyport-reason': 'fault rig',
        ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      body: body ? JSON.stringify(body) : null,
    });
    const json = (await answer.body.json()) as T;
    if (answer.statusCode < 400) return json;
    throw Object.assign(new Error(`${method} ${path}: ${JSON.stringify(json)}`), { status: answer.statusCode });
  }
}
