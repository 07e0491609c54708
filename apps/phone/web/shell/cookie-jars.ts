import { Cookie, CookieJar, type SerializedCookieJar } from 'tough-cookie';
import type { PageCookie } from '../messages.ts';
import type { Keeping } from './keeping.ts';

const NAME = 'cookies';
/** Tabs of this browser tell each other that cookies have changed. */
const CHANNEL = 'sallyport.cookies';
/** The longest cookie, with its attributes, and the most that one resource keeps; the oldest go first (RFC 6265, section 6.1). */
const MAX_COOKIE_CHARACTERS = 8_192;
const MAX_COOKIES = 180;

/** From where a request comes, by the rules of SameSite cookies (RFC 6265bis, 5.2). */
export type SameSite = 'strict' | 'lax';

/**
 * One jar for each authority. A cookie stays with the resource that set it, whatever its `Domain` says: one that names other hosts
 * too is taken for this one alone, and one that names others only is refused. `Secure` always holds: the way is sealed. It keeps
 * what is on the wire, bytes as characters; scripts write and read that as UTF-8 (WHATWG HTML, `document.cookie`).
 */
export class CookieJars {
  readonly #keeping: Keeping;
  readonly #tabs = new BroadcastChannel(CHANNEL);
  #jars: Promise<Map<string, CookieJar>> | undefined;
  #storing: Promise<unknown> = Promise.resolve();

  constructor(keeping: Keeping) {
    this.#keeping = keeping;
    this.#tabs.onmessage = () => {
      this.#jars = undefined;
    };
  }

  /** Value of the field `cookie`, empty when there is none. */
  async header(authority: string, path: string, sameSite: SameSite): Promise<string> {
    const jar = (await this.#all()).get(authority);
    return jar?.getCookieStringSync(urlOf(authority, path), { http: true, sameSiteContext: sameSite }) ?? '';
  }

  /** Takes a cookie from a response, or (`http` false) from a script, which can neither set nor replace an HttpOnly one. */
  async take(authority: string, text: string, { path, http }: { path: string; http: boolean }): Promise<void> {
    if (text.length > MAX_COOKIE_CHARACTERS) return;
    const written = http ? text : bytesOf(text);
    if (written.length > MAX_COOKIE_CHARACTERS || NEVER_SENT.test(written)) return;
    const cookie = parsed(written);
    const url = urlOf(authority, path);
    if (!cookie || !domainFits(cookie.domain, url.hostname)) return;
    if (cookie.key.startsWith('__Host-') && cookie.domain !== null) return;
    cookie.domain = null;
    const jars = await this.#all();
    const jar = jars.get(authority) ?? newJar();
    jar.setCookieSync(cookie, url, { http, ignoreError: true, loose: true });
    jars.set(authority, bounded(jar));
    await this.#store(jars);
  }

  /** Cookies of an authority that scripts may read. */
  async visible(authority: string): Promise<readonly PageCookie[]> {
    const jar = (await this.#all()).get(authority);
    const cookies = jar?.getCookiesSync(urlOf(authority, '/'), { http: false, allPaths: true }) ?? [];
    return cookies.map(({ key, value, path }) => ({ name: textOf(key), value: textOf(value), path: path ?? '/' }));
  }

  /** Forgets all of them, also those that are on their way into the store. */
  async forget(): Promise<void> {
    this.#jars = undefined;
    this.#storing = this.#storing.then(() => this.#keeping.remove(NAME));
    await this.#storing;
    this.#tabs.postMessage('changed');
  }

  #all(): Promise<Map<string, CookieJar>> {
    this.#jars ??= this.#keeping.load(NAME).then(readJars);
    return this.#jars;
  }

  /** One write after the other, each with everything that is known when it begins. */
  #store(jars: ReadonlyMap<string, CookieJar>): Promise<unknown> {
    this.#storing = this.#storing.then(async () => {
      const all = [...jars].map(([authority, jar]) => [authority, jar.serializeSync()]);
      await this.#keeping.store(NAME, JSON.stringify(all)).catch(() => undefined);
      this.#tabs.postMessage('changed');
    });
    return this.#storing;
  }
}

/** A byte that no field may hold (RFC 6265bis, section 5.6: such a cookie is ignored). */
const NEVER_SENT = /\x7f/;

/** Stands for the byte A0, while a library parses that takes it for a space: it ends letters of UTF-8, as in "à" and "Š". */
const NO_SPACE = '\u0100';

/** A cookie as it was written, bytes as characters; only spaces and tabs around its parts are none of it (RFC 6265, section 5.2). */
function parsed(written: string): Cookie | undefined {
  const cookie = Cookie.parse(written.replaceAll('\xa0', NO_SPACE), { loose: true });
  if (!cookie) return undefined;
  const restored = (part: string): string => part.replaceAll(NO_SPACE, '\xa0');
  cookie.key = restored(cookie.key);
  cookie.value = restored(cookie.value);
  cookie.path = cookie.path === null ? null : restored(cookie.path);
  return cookie;
}

/** A text in UTF-8, a character for each byte. */
function bytesOf(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
}

/** What such bytes say. */
function textOf(bytes: string): string {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return decoder.decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
}

function readJars(text: string | undefined): Map<string, CookieJar> {
  const all = text === undefined ? [] : (JSON.parse(text) as [string, SerializedCookieJar][]);
  return new Map(all.map(([authority, jar]) => [authority, CookieJar.deserializeSync(jar)]));
}

function newJar(): CookieJar {
  return new CookieJar(undefined, { rejectPublicSuffixes: false, looseMode: true, prefixSecurity: 'silent' });
}

function bounded(jar: CookieJar): CookieJar {
  const all = jar.serializeSync();
  if (!all || all.cookies.length <= MAX_COOKIES) return jar;
  const since = (one: (typeof all.cookies)[number]): number => new Date(one.creation as string).getTime();
  const newest = [...all.cookies].sort((a, b) => since(a) - since(b)).slice(-MAX_COOKIES);
  return CookieJar.deserializeSync({ ...all, cookies: newest });
}

/** Always https: `Secure` cookies are for this way too. */
function urlOf(authority: string, path: string): URL {
  return new URL(path, `https://${authority}`);
}

function domainFits(domain: string | null, host: string): boolean {
  if (domain === null) return true;
  const plain = domain.replace(/^\./, '').toLowerCase();
  return host === plain || host.endsWith(`.${plain}`);
}
