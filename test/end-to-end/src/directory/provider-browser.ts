import { Agent, type Dispatcher, request } from 'undici';

/**
 * Plays the browser of a person at the provider's plain login pages, without a browser: follows redirects, keeps cookies,
 * sends the forms. Real Chromium does the same in the phone's test.
 */
export class PlainBrowser {
  readonly #agent: Agent;
  readonly #cookies = new Map<string, string>();

  constructor(ca: string) {
    this.#agent = new Agent({ connect: { ca } });
  }

  /** Signs in as somebody; gives the URL with which the browser would come back. */
  async signIn(url: string, login: string): Promise<string> {
    let next = url;
    for (let hops = 0; hops < 20; hops++) {
      const answer = await this.#get(next);
      const location = answer.headers['location'] as string | undefined;
      if (location !== undefined) {
        await answer.body.dump();
        const target = new URL(location, next);
        if (target.origin !== new URL(url).origin) return target.href;
        next = target.href;
        continue;
      }
      next = await this.#submit(next, await answer.body.text(), login);
    }
    throw new Error('the provider goes round in circles');
  }

  /** Signs out: the provider asks, and is told yes. */
  async signOut(url: string): Promise<void> {
    const page = await (await this.#get(url)).body.text();
    const [, action = ''] = /<form[^>]+action="([^"]+)"/.exec(page) ?? [];
    const [, xsrf = ''] = /name="xsrf" value="([^"]+)"/.exec(page) ?? [];
    const answer = await request(new URL(action, url), {
      method: 'POST',
      dispatcher: this.#agent,
      headers: { ...this.#headers(), 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ xsrf, logout: 'yes' }).toString(),
    });
    await answer.body.dump();
    if (answer.statusCode >= 400) throw new Error(`the provider answers ${answer.statusCode}`);
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #get(url: string): Promise<Dispatcher.ResponseData> {
    const answer = await request(url, { dispatcher: this.#agent, headers: this.#headers() });
    this.#keep(answer);
    return answer;
  }

  /** Sends the form of a page: a name where one is asked for, consent otherwise. Gives where it leads. */
  async #submit(at: string, page: string, login: string): Promise<string> {
    const [, action = ''] = /<form[^>]+action="([^"]+)"/.exec(page) ?? [];
    const fields = [...page.matchAll(/<input[^>]+name="([^"]+)"(?:[^>]*value="([^"]*)")?/g)].map(
      ([, name = '', value = '']) => [name, value] as const,
    );
    if (action === '') throw new Error(`the provider shows no form but: ${page.slice(0, 300)}`);
    const form = new URLSearchParams(
      fields.map(([name, value]) => [name, name === 'login' ? login : name === 'password' ? 'x' : value]),
    );
    const answer = await request(new URL(action, at), {
      method: 'POST',
      dispatcher: this.#agent,
      headers: { ...this.#headers(), 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    });
    this.#keep(answer);
    await answer.body.dump();
    return new URL(answer.headers['location'] as string, at).href;
  }

  #headers(): Record<string, string> {
    return { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '), accept: 'text/html' };
  }

  #keep({ headers }: Dispatcher.ResponseData): void {
    const set = headers['set-cookie'];
    for (const line of Array.isArray(set) ? set : set === undefined ? [] : [set]) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
  }
}
