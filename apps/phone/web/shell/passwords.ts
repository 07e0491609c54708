import type { CallResponse } from '@sallyport/device';
import type { Keeping } from './keeping.ts';

/** Who asks for a password: the resource by its authority, and what it calls itself. */
export interface PasswordQuestion {
  readonly authority: string;
  readonly realm: string;
  /** The one that was given was wrong. */
  readonly again: boolean;
}

/** Asks the user; gives the value of `authorization`, undefined when they would rather not. */
export type AskPassword = (question: PasswordQuestion) => Promise<string | undefined>;

const NAME = 'passwords';

/** Passwords for resources that ask for them by themselves (RFC 7617), until the user signs out. */
export class Passwords {
  readonly #keeping: Keeping;
  #known: Promise<Record<string, string>> | undefined;

  constructor(keeping: Keeping) {
    this.#keeping = keeping;
  }

  /** Value of the field `authorization` for a resource. */
  async find(authority: string): Promise<string | undefined> {
    const all = await this.#all();
    return Object.hasOwn(all, authority) ? all[authority] : undefined;
  }

  async keep(authority: string, authorization: string): Promise<void> {
    const all = { ...(await this.#all()), [authority]: authorization };
    this.#known = Promise.resolve(all);
    await this.#keeping.store(NAME, JSON.stringify(all)).catch(() => undefined);
  }

  async forget(): Promise<void> {
    this.#known = undefined;
    await this.#keeping.remove(NAME);
  }

  #all(): Promise<Record<string, string>> {
    this.#known ??= this.#keeping.load(NAME).then((text) => (text === undefined ? {} : JSON.parse(text)));
    return this.#known;
  }
}

/** What a response calls the place that it wants a password for; undefined when it wants none, or another kind of proof. */
export function passwordRealm({ status, fields }: Pick<CallResponse, 'status' | 'fields'>): string | undefined {
  if (status !== 401) return undefined;
  const challenge = fields.find(([name, value]) => name === 'www-authenticate' && /\bbasic\b/i.test(value))?.[1];
  if (challenge === undefined) return undefined;
  return /realm\s*=\s*"([^"]*)"/i.exec(challenge)?.[1] ?? '';
}

/** Value of `authorization` for a name and a password (RFC 7617, UTF-8). */
export function basicAuthorization(user: string, password: string): string {
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${user}:${password}`)))}`;
}
