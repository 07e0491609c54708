import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { INSTALL_PREFIX } from '@sallyport/security-api';
import type { SecurityClient } from '@sallyport/security-client';
import { addressKey } from '@sallyport/settings';
import type { Log, Refusals } from '@sallyport/telemetry';
import { Buckets } from './device/admission.ts';

/** What pages for who has a link are fetched with. */
export interface InstallPageParts {
  readonly security: Pick<SecurityClient, 'installPage'>;
  readonly limited: Refusals;
  readonly log: Log;
}

/** Pages and packages at once, and of one address. */
const MAX_AT_ONCE = 16;
const MAX_OF_ADDRESS = 4;
/** Requests of one address at once; a thirtieth of them comes back each second. */
const BURST = 30;
const MAX_ADDRESSES = 10_000;
/** A reader who takes nothing for so long is given up, ms. */
const IDLE_MS = 30_000;
const PATH = new RegExp(
  `^${INSTALL_PREFIX}/(spi_[A-Za-z0-9_-]{40,160}|spc_[A-Za-z0-9_-]{40,160}/[a-z]{1,16}\\.[a-z]{1,8})$`,
);
/** What of the answer of Security goes on. */
const PASSED = ['content-type', 'content-length', 'content-range', 'content-disposition'] as const;

/** Nothing runs on these pages, nobody frames them, and no address of theirs is told to anybody. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
};

/**
 * Hands pages and packages of Security to whoever has a link for a first installation. Nobody knows who that is: so only what looks like
 * a link goes on to Security, a few at a time, on connections that nobody else needs.
 */
export class InstallPages {
  readonly #parts: InstallPageParts;
  readonly #requests = new Buckets({ burst: BURST, rate: 1, keys: MAX_ADDRESSES });
  readonly #open = new Map<string, number>();
  #count = 0;

  constructor(parts: InstallPageParts) {
    this.#parts = parts;
  }

  /** True for a path that is one of these. */
  static isPath(path: string | undefined): boolean {
    return path?.startsWith(`${INSTALL_PREFIX}/`) ?? false;
  }

  /** Answers a request whose path is one of these. Never throws. */
  async answer(request: IncomingMessage, response: ServerResponse, address: string): Promise<void> {
    const { method, url = '' } = request;
    const isForm = method === 'POST' && url.startsWith(`${INSTALL_PREFIX}/spi_`);
    if (!PATH.test(url)) return refuse(response, 404, 'there is nothing here');
    if (method !== 'GET' && !isForm) return refuse(response, 405, 'GET, or the button of the page');
    const key = addressKey(address);
    if (!this.#enter(key)) return refuse(response, 503, 'too many at once: try again in a minute');
    try {
      await this.#fetch(request, response);
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'a page for a first installation could not be fetched');
      if (response.headersSent) response.destroy();
      else refuse(response, 503, 'the gateway does not answer: try again later');
    } finally {
      this.#leave(key);
    }
  }

  #enter(key: string): boolean {
    const now = performance.now();
    const open = this.#open.get(key) ?? 0;
    const isFree = this.#count < MAX_AT_ONCE && open < MAX_OF_ADDRESS && this.#requests.of(key, now).take(now);
    if (!isFree) {
      this.#parts.limited.met('pages for first installations', { address: key });
      return false;
    }
    this.#count += 1;
    this.#open.set(key, open + 1);
    return true;
  }

  #leave(key: string): void {
    this.#count -= 1;
    const open = (this.#open.get(key) ?? 1) - 1;
    if (open === 0) this.#open.delete(key);
    else this.#open.set(key, open);
  }

  async #fetch({ method, url = '', headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    response.setTimeout(IDLE_MS, () => response.destroy());
    const { signal } = gone;
    const asked = { path: url, method: method === 'POST' ? 'POST' : 'GET', range: headers.range, signal } as const;
    const answer = await this.#parts.security.installPage(asked);
    const passed = PASSED.flatMap((name) => (answer.headers[name] === undefined ? [] : [[name, answer.headers[name]]]));
    response.writeHead(answer.statusCode, { ...HEADERS, ...Object.fromEntries(passed) });
    // Who goes away in the middle is no fault.
    await pipeline(answer.body, response).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  const retry = status === 503 ? { 'retry-after': '60' } : {};
  response.writeHead(status, {
    ...HEADERS,
    ...retry,
    'content-type': 'text/plain; charset=utf-8',
    connection: 'close',
  });
  response.end(`${text}\n`);
}
