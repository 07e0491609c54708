import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { calculateJwkThumbprint, type FlattenedJWSInput, flattenedVerify, importJWK, type JWK } from 'jose';
import type { TestAuthority } from './authority.ts';

interface Order {
  readonly names: readonly string[];
  readonly token: string;
  readonly thumbprint: string;
  state: 'pending' | 'ready' | 'valid' | 'invalid';
  certificate?: string;
}

interface Asked {
  readonly path: string;
  readonly payload: unknown;
  /** Of a request that makes an account. */
  readonly jwk: JWK | undefined;
  /** The URL of the account. */
  readonly account: string;
}

/** How a server of ACME behaves that a test plays; changed while it runs. */
export interface AcmeOptions {
  readonly authority: TestAuthority;
  /** Where challenges are asked for instead of port 80 of a name: the same port of each of these addresses, in turn. */
  challengePorts: readonly number[];
  /** How long what it issues is good, ms. */
  lifeMs: number;
  /** Refuses every order, as one does that is asked too often. */
  refuses?: boolean;
  /** It takes only accounts that are bound by this (RFC 8555, section 7.3.4). */
  binding?: { readonly kid: string; readonly key: string } | undefined;
  /** For whom it issues, whatever was asked. */
  names?: readonly string[] | undefined;
  /** From when on the life counts, epoch ms. */
  readonly now: () => number;
}

/** A server of RFC 8555 with http-01, small enough to be read: accounts, nonces, orders, challenges, certificates. */
export class AcmeServer {
  readonly options: AcmeOptions;
  readonly #server: Server;
  readonly #nonces = new Set<string>();
  readonly #accounts = new Map<string, JWK>();
  readonly #orders = new Map<string, Order>();
  #challenges = 0;
  /** Orders that were made, and certificates that were issued. */
  ordered = 0;
  issued = 0;

  private constructor(options: AcmeOptions, tls: { certificate: string; key: string }) {
    this.options = options;
    this.#server = createServer({ cert: tls.certificate, key: tls.key }, (request, response) => {
      this.#answer(request, response).catch((error: Error) => {
        this.#send(response, 400, { type: 'urn:ietf:params:acme:error:malformed', detail: error.message });
      });
    });
  }

  static async start(options: AcmeOptions): Promise<AcmeServer> {
    const acme = new AcmeServer(options, await options.authority.issue({ names: ['127.0.0.1'] }));
    await new Promise<void>((resolve) => acme.#server.listen(0, '127.0.0.1', resolve));
    return acme;
  }

  /** Of its directory. */
  get url(): string {
    return `${this.#origin}/directory`;
  }

  get accounts(): number {
    return this.#accounts.size;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  get #origin(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const [newNonce, newAccount, newOrder] = ['nonce', 'account', 'order'].map((name) => `${this.#origin}/${name}`);
    const meta = { externalAccountRequired: this.options.binding !== undefined };
    if (path === '/directory') return this.#send(response, 200, { newNonce, newAccount, newOrder, meta });
    if (path === '/nonce') return this.#send(response, 200, {});
    const asked = await this.#verified(request, path);
    if (path === '/account') return this.#account(response, asked);
    if (path.startsWith('/accounts/')) return this.#send(response, 200, { status: 'valid' });
    if (path === '/order') return this.#order(response, asked);
    return this.#ofOrder(response, asked);
  }

  /** A request is signed by its account, for this place, and once (RFC 8555, section 6). */
  async #verified(request: IncomingMessage, path: string): Promise<Asked> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const jws = JSON.parse(Buffer.concat(pieces).toString());
    const header = JSON.parse(Buffer.from(jws.protected, 'base64url').toString());
    if (!this.#nonces.delete(header.nonce)) throw new Error('the nonce is not good');
    if (header.url !== `${this.#origin}${path}`) throw new Error('signed for another place');
    const jwk: JWK | undefined = header.jwk ?? this.#accounts.get(header.kid);
    if (!jwk) throw new Error('no such account');
    const { payload } = await flattenedVerify(jws, await importJWK(jwk, header.alg));
    const text = Buffer.from(payload).toString();
    return { path, payload: text === '' ? undefined : JSON.parse(text), jwk: header.jwk, account: header.kid };
  }

  async #account(response: ServerResponse, { jwk, payload }: Asked): Promise<void> {
    const id = `${this.#origin}/accounts/${await calculateJwkThumbprint(jwk!)}`;
    const known = this.#accounts.has(id);
    if (!known && !(await this.#isBound(jwk!, payload))) {
      const type = 'urn:ietf:params:acme:error:externalAccountRequired';
      return this.#send(response, 403, { type, detail: 'who are you?' });
    }
    this.#accounts.set(id, jwk!);
    response.setHeader('location', id);
    this.#send(response, known ? 200 : 201, { status: 'valid' });
  }

  /** The binding is a JWS by the key that the authority gave, over the key of the account, for this place. */
  async #isBound(jwk: JWK, payload: unknown): Promise<boolean> {
    const { binding } = this.options;
    if (!binding) return true;
    const { externalAccountBinding: jws } = payload as { externalAccountBinding?: FlattenedJWSInput };
    if (!jws) return false;
    const verified = await flattenedVerify(jws, Buffer.from(binding.key, 'base64url'), { algorithms: ['HS256'] });
    const { kid, url } = verified.protectedHeader as { kid?: string; url?: string };
    const isOfAccount = isDeepStrictEqual(JSON.parse(Buffer.from(verified.payload).toString()), jwk);
    return kid === binding.kid && url === `${this.#origin}/account` && isOfAccount;
  }

  async #order(response: ServerResponse, { payload, account }: Asked): Promise<void> {
    this.ordered += 1;
    if (this.options.refuses)
      return this.#send(response, 403, {
        type: 'urn:ietf:params:acme:error:rateLimited',
        detail: 'too many \u001b[31m',
      });
    const id = randomBytes(8).toString('hex');
    const { identifiers } = payload as { identifiers: { value: string }[] };
    const order: Order = {
      names: identifiers.map(({ value }) => value),
      thumbprint: await calculateJwkThumbprint(this.#accounts.get(account)!),
      token: randomBytes(16).toString('base64url'),
      state: 'pending',
    };
    this.#orders.set(id, order);
    response.setHeader('location', `${this.#origin}/orders/${id}`);
    this.#send(response, 201, this.#view(id, order));
  }

  /** What is asked of an order that was made: `/WHAT/ID`. */
  async #ofOrder(response: ServerResponse, { path, payload }: Asked): Promise<void> {
    const [, what = '', id = ''] = path.split('/');
    const order = this.#orders.get(id);
    if (!order) throw new Error('no such order');
    if (what === 'challenge') await this.#challenge(order);
    if (what === 'finalize') await this.#issue(order, (payload as { csr: string }).csr);
    if (what === 'challenge') return this.#send(response, 200, this.#authorization(id, order).challenges[0]!);
    if (what === 'authorization') return this.#send(response, 200, this.#authorization(id, order));
    if (what === 'finalize' || what === 'orders') return this.#send(response, 200, this.#view(id, order));
    if (what !== 'certificate' || order.certificate === undefined) throw new Error('nothing is here');
    response.setHeader('content-type', 'application/pem-certificate-chain');
    this.#send(response, 200, order.certificate);
  }

  #view(id: string, { names, state }: Order) {
    return {
      status: state,
      identifiers: names.map((value) => ({ type: 'dns', value })),
      // One proof is enough for all names here.
      authorizations: [`${this.#origin}/authorization/${id}`],
      finalize: `${this.#origin}/finalize/${id}`,
      ...(state === 'valid' ? { certificate: `${this.#origin}/certificate/${id}` } : {}),
    };
  }

  #authorization(id: string, { names, state, token }: Order) {
    const status = state === 'pending' || state === 'invalid' ? state : 'valid';
    const challenge = { type: 'http-01', url: `${this.#origin}/challenge/${id}`, token, status };
    return { identifier: { type: 'dns', value: names[0]! }, status, challenges: [challenge] };
  }

  /** Asks for the token as the internet would (RFC 8555, section 8.3), of any server of the name. */
  async #challenge(order: Order): Promise<void> {
    const { token, thumbprint } = order;
    const { challengePorts } = this.options;
    const port = challengePorts[this.#challenges++ % challengePorts.length];
    const answer = await fetch(`http://127.0.0.1:${port}/.well-known/acme-challenge/${token}`).then(
      (got) => got.text(),
      () => '',
    );
    order.state = answer === `${token}.${thumbprint}` ? 'ready' : 'invalid';
  }

  async #issue(order: Order, csr: string): Promise<void> {
    if (order.state !== 'ready') throw new Error('the order is not ready');
    const { authority, lifeMs, names = order.names, now } = this.options;
    const [from, until] = [Math.min(Date.now(), now()) - 1_000, now() + lifeMs];
    order.certificate = await authority.certify(new Uint8Array(Buffer.from(csr, 'base64url')), { names, from, until });
    order.state = 'valid';
    this.issued += 1;
  }

  #send(response: ServerResponse, status: number, body: object | string): void {
    const nonce = randomBytes(16).toString('base64url');
    this.#nonces.add(nonce);
    response.setHeader('replay-nonce', nonce);
    if (typeof body === 'object') response.setHeader('content-type', 'application/json');
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
  }
}
