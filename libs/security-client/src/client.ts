import { type ChannelKey, formatBase64Url, keyOf, parseBase64Url } from '@sallyport/channel';
import {
  AuthorizeAnswer,
  type Grant,
  PROXY_PATHS,
  parseJson,
  parserOf,
  ReauthorizeAnswer,
  RelayAnswer,
  SiteMapAnswer,
} from '@sallyport/security-api';
import { Agent, request } from 'undici';
import { SecurityClientError } from './errors.ts';
import type { ProxyIdentity } from './identity.ts';

const parseRelay = parserOf(RelayAnswer);
const parseAuthorize = parserOf(AuthorizeAnswer);
const parseReauthorize = parserOf(ReauthorizeAnswer);
const parseSiteMap = parserOf(SiteMapAnswer);
const TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 1_000;

/** Security's message for a device, and the handshake it belongs to. */
export interface Relayed {
  /** Opaque: which node has the handshake, and its id there. */
  readonly handshake?: { readonly url: string; readonly id: string };
  readonly message: Uint8Array;
}

/** Outcome of a HELLO. */
export type Authorised =
  | { readonly grant: Grant; readonly channelKey: ChannelKey }
  | { readonly hint: string; readonly retryAfterMs: number };

/**
 * A Proxy's client of Security over mutual TLS. Knows several nodes and goes to the next when one does not answer;
 * a handshake stays with the node that began it.
 */
export class SecurityClient {
  #agent: Agent;
  #urls: readonly string[];

  constructor(identity: ProxyIdentity) {
    this.#agent = agentOf(identity);
    this.#urls = identity.urls;
  }

  /** Takes a renewed certificate; requests under way end with the old one. */
  useIdentity(identity: ProxyIdentity): void {
    void this.#agent.close();
    this.#agent = agentOf(identity);
    this.#urls = identity.urls;
  }

  /** Hands HS1 over. */
  async beginHandshake(message: Uint8Array, address: string): Promise<Relayed> {
    const body = { message: formatBase64Url(message), address };
    const { url, answer } = await this.#anyNode((node) => this.#post(node, PROXY_PATHS.handshakes, body, parseRelay));
    return {
      message: parseBase64Url(answer.message),
      ...(answer.handshake === undefined ? {} : { handshake: { url, id: answer.handshake } }),
    };
  }

  /** Hands HS3 to the node that answered HS1. Never repeated: no handshake message is answered twice. */
  async finishHandshake(
    handshake: NonNullable<Relayed['handshake']>,
    message: Uint8Array,
    address: string,
  ): Promise<Uint8Array> {
    const body = { message: formatBase64Url(message), address };
    const path = `${PROXY_PATHS.handshakes}/${handshake.id}`;
    return parseBase64Url((await this.#post(handshake.url, path, body, parseRelay)).message);
  }

  /** Asks whether a HELLO may open a channel. */
  async authorize(hello: Uint8Array, address: string): Promise<Authorised> {
    const body = { hello: formatBase64Url(hello), address };
    const { answer } = await this.#anyNode((node) => this.#post(node, PROXY_PATHS.authorize, body, parseAuthorize));
    if ('hint' in answer) return { hint: answer.hint, retryAfterMs: answer.retryAfterMs ?? 0 };
    return { grant: answer.grant, channelKey: keyOf<ChannelKey>(parseBase64Url(answer.channelKey)) };
  }

  /** Reads the rights of an open channel again; undefined when its session is over. */
  async reauthorize(sid: string): Promise<Grant | undefined> {
    const { answer } = await this.#anyNode((node) =>
      this.#post(node, PROXY_PATHS.reauthorize, { sid }, parseReauthorize),
    );
    return 'grant' in answer ? answer.grant : undefined;
  }

  /** The realm's signed site map. */
  async siteMap(): Promise<SiteMapAnswer> {
    const { answer } = await this.#anyNode((node) =>
      this.#send(node, PROXY_PATHS.siteMap, { method: 'GET' }, parseSiteMap),
    );
    return answer;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** Tries the nodes in turn, and remembers the one that answered by putting it first. */
  async #anyNode<T>(work: (url: string) => Promise<T>): Promise<{ url: string; answer: T }> {
    let unreachable: unknown;
    for (const url of this.#urls) {
      try {
        const answer = await work(url);
        if (url !== this.#urls[0]) this.#urls = [url, ...this.#urls.filter((other) => other !== url)];
        return { url, answer };
      } catch (error) {
        if ((error as SecurityClientError).code !== 'ERR_SECURITY_UNREACHABLE') throw error;
        unreachable = error;
      }
    }
    throw unreachable;
  }

  #post<T>(url: string, path: string, body: object, parse: (value: unknown) => T | undefined): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    return this.#send(url, path, { method: 'POST', headers, body: JSON.stringify(body) }, parse);
  }

  async #send<T>(
    url: string,
    path: string,
    options: { method: 'GET' | 'POST'; headers?: Record<string, string>; body?: string },
    parse: (value: unknown) => T | undefined,
  ): Promise<T> {
    const answer = await request(`${url}${path}`, { ...options, dispatcher: this.#agent }).then(
      async ({ statusCode, body }) => ({ statusCode, text: await body.text() }),
      (cause: unknown) => {
        throw new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security does not answer at ${url}`, { cause });
      },
    );
    if (answer.statusCode >= 500)
      throw new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security answered ${answer.statusCode}`);
    if (answer.statusCode !== 200)
      throw new SecurityClientError('ERR_SECURITY_REFUSED', `Security answered ${answer.statusCode}`);
    const parsed = parse(parseJson(answer.text));
    if (parsed === undefined)
      throw new SecurityClientError('ERR_SECURITY_ANSWER', 'the answer of Security is not valid');
    return parsed;
  }
}

function agentOf({ ca, certificate, key }: ProxyIdentity): Agent {
  return new Agent({
    connect: { ca, cert: certificate, key, timeout: CONNECT_TIMEOUT_MS },
    connections: 64,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    allowH2: false,
  });
}
