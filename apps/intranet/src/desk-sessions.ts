import { randomBytes } from 'node:crypto';

/** Somebody who is signed in at the desk. */
export interface DeskSession {
  readonly name: string;
  readonly endsAt: number;
}

const COOKIE = 'desk';
const SESSION_MS = 12 * 3_600_000;
const MAX_SESSIONS = 10_000;

/** Who is signed in at the desk, by a cookie; in memory. */
export class DeskSessions {
  readonly #sessions = new Map<string, DeskSession>();

  /** Signs somebody in; gives the `set-cookie` of it. */
  begin(name: string): string {
    const token = randomBytes(24).toString('base64url');
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= MAX_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest);
    this.#sessions.set(token, { name, endsAt: Date.now() + SESSION_MS });
    return `${COOKIE}=${token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${SESSION_MS / 1_000}`;
  }

  /** Who sends a field `cookie`. */
  find(cookies: string | undefined): DeskSession | undefined {
    const session = this.#sessions.get(tokenIn(cookies));
    return session && session.endsAt > Date.now() ? session : undefined;
  }

  /** Signs whoever sends this out; gives the `set-cookie` of it. */
  end(cookies: string | undefined): string {
    this.#sessions.delete(tokenIn(cookies));
    return `${COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0`;
  }
}

function tokenIn(cookies = ''): string {
  const [, token = ''] = /(?:^|;\s*)desk=([\w-]+)/.exec(cookies) ?? [];
  return token;
}
