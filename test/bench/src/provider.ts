import { Agent, request } from 'undici';

/** How long a call may take, ms: a group of a hundred thousand members does. */
const TIMEOUT_MS = 600_000;

/** A SCIM client of an identity provider. */
export class Provider {
  readonly #base: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(of: { readonly base: string; readonly token: string; readonly ca: string }) {
    this.#base = of.base;
    this.#token = of.token;
    this.#agent = new Agent({ connect: { ca: of.ca }, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
  }

  /** Sends a resource, as a value or as the text of one. @throws Error with what was answered */
  async call(method: 'POST' | 'PUT', path: string, body: object | string): Promise<Record<string, unknown>> {
    const answer = await request(`${this.#base}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/scim+json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      dispatcher: this.#agent,
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
