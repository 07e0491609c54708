import { randomUUID } from 'node:crypto';
import { type AnswerOf, type Operation, operators } from '@sallyport/security-api/admin';
import { AdminClient, type CallOf } from '@sallyport/security-client/admin';

/** How long a call is repeated while no node answers, ms: longer than a failover of the database. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 50;
const CONNECT_MS = 1_000;
/** How long an answer may take, ms: a revocation waits until it is in force. */
const ANSWER_MS = 70_000;

/**
 * An operator's program: any node will do, and a call that got no answer is repeated with the same id at the next one.
 * Only calls that may be repeated are made here.
 */
export class Operator {
  readonly #urls: readonly [string, ...string[]];
  readonly #ca: string;
  #token: string | undefined;
  #patient: AdminClient;
  #impatient: AdminClient;

  constructor(urls: readonly string[], ca: string, token?: string) {
    this.#urls = urls as readonly [string, ...string[]];
    this.#ca = ca;
    this.#token = token;
    this.#patient = this.#client(PATIENCE_MS);
    this.#impatient = this.#client(0);
  }

  /** Exchanges the one-time token of the first start; the id makes a repetition after a lost answer good. */
  async login(oneTimeToken: string): Promise<void> {
    const body = { token: oneTimeToken, name: 'rig', request: randomUUID() };
    const { token } = await this.call(operators.login, { body });
    await this.close();
    this.#token = token;
    this.#patient = this.#client(PATIENCE_MS);
    this.#impatient = this.#client(0);
  }

  /** The same operator at one node only. */
  at(url: string): Operator {
    return new Operator([url], this.#ca, this.#token);
  }

  /** Calls an operation, again and again while no node answers. @throws AdminError */
  call<O extends Operation>(operation: O, ...[call]: CallOf<O, 'reason'>): Promise<AnswerOf<O>> {
    return this.#patient.call(operation, ...reasoned(operation, call));
  }

  /** Calls an operation once. @throws AdminError with the `status`, if there was an answer */
  once<O extends Operation>(operation: O, ...[call]: CallOf<O, 'reason'>): Promise<AnswerOf<O>> {
    return this.#impatient.call(operation, ...reasoned(operation, call));
  }

  /** Closes its connections. */
  async close(): Promise<void> {
    await Promise.all([this.#patient.close(), this.#impatient.close()]);
  }

  #client(patienceMs: number): AdminClient {
    return new AdminClient({
      urls: this.#urls,
      ca: this.#ca,
      token: this.#token,
      connectMs: CONNECT_MS,
      timeoutMs: ANSWER_MS,
      again: ({ status = 500 }, _operation, { ms }) => (status >= 500 && ms < patienceMs ? PAUSE_MS : undefined),
    });
  }
}

function reasoned<O extends Operation>(operation: O, call: object | undefined): CallOf<O> {
  return [{ ...call, ...(operation.reason ? { reason: 'fault rig' } : {}) }] as unknown as CallOf<O>;
}
