import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { type CertificateLife, type CertificatePair, judgeCertificate, lifeOf } from '@sallyport/certificates';
import { guardedListener, pathOf } from '@sallyport/http-service';
import { type ListenAddress, readJsonFile, replacePrivateFile } from '@sallyport/settings';
import type { Log, Metrics } from '@sallyport/telemetry';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { loadAcmeClient, type OrderSettings, orderCertificate } from './acme-order.ts';

/** How a Proxy gets its certificate for devices by itself. */
export interface AcmeSettings extends OrderSettings {
  readonly SALLYPORT_DATA: string;
  readonly SALLYPORT_ACME_LISTEN: ListenAddress | undefined;
  readonly SALLYPORT_ACME_ACCOUNT_KEY: string | undefined;
  readonly SALLYPORT_TLS_CERT: string | undefined;
  readonly SALLYPORT_TLS_KEY: string | undefined;
}

/** What an order is made with. */
export interface AcmeParts {
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'counter'>;
  /** Epoch ms. */
  readonly wallMs?: () => number;
}

/** A certificate is renewed when two thirds of its life are over, and looked at so often in it. */
const RENEW_AT = 2 / 3;
const LOOKS = 60;
const MAX_LOOK_MS = 3_600_000;
const MIN_LOOK_MS = 1_000;
/** Authorities bound how often they are asked: after a failure they are not for so long, and twice that after each further one, ms. */
const AGAIN_MS = 60_000;
const MAX_AGAIN_MS = 6 * 3_600_000;
const CHALLENGE_PATH = '/.well-known/acme-challenge/';
/** Tokens have at least 128 bits (RFC 8555, section 8.3). */
const TOKEN = /^[A-Za-z0-9_-]{16,512}$/;
const MAX_SOCKETS = 256;
const SILENCE_MS = 5_000;
/** The key of an account binding, as authorities give it: base64url, or base64, of at least 16 bytes. */
const BINDING_KEY = /^[A-Za-z0-9+/_-]{22,1024}={0,2}$/;
/** What lasts for no time at all. */
const NOTHING = { beginsAt: 0, endsAt: 0 } as const;

type Life = Pick<CertificateLife, 'beginsAt' | 'endsAt'>;

/** Orders that failed since the last one that did not. */
interface OrderFailure {
  readonly count: number;
  /** No order is made before, epoch ms. */
  readonly until: number;
  readonly words: string;
}

/**
 * The certificate for devices from an authority that speaks ACME (RFC 8555), by challenges of kind http-01. It is kept in files of the data
 * folder, which are taken over as any others are; what the authority gives is judged before it gets there. One belongs to one process.
 */
export class AcmeCertificate {
  readonly #settings: AcmeSettings;
  readonly #log: Log;
  readonly #wallMs: () => number;
  readonly #failed: () => void;
  readonly #folder: string;
  readonly #accountKey: string;
  /** What an answer to a challenge ends with: the thumbprint of the account (RFC 8555, section 8.1). */
  readonly #thumbprint: string;
  #server: Server | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ordering: Promise<void> | undefined;
  #trouble: string | undefined;
  /** Of what was last written to the file, or was there at the start. */
  #written: Life;
  #failure: OrderFailure;

  private constructor(settings: AcmeSettings, account: { key: string; thumbprint: string }, parts: AcmeParts) {
    this.#settings = settings;
    this.#folder = folderOf(settings);
    this.#accountKey = account.key;
    this.#thumbprint = account.thumbprint;
    this.#log = parts.log;
    this.#wallMs = parts.wallMs ?? Date.now;
    const counter = parts.metrics.counter(
      'sallyport_certificate_orders_failed_total',
      'orders of a certificate for devices that failed',
      [],
    );
    this.#failed = () => counter.inc();
    this.#written = lifeIn(this.file);
    this.#failure = failureIn(this.#failureFile);
  }

  /**
   * Takes the certificate that is there, or orders the first one; undefined where no authority is named.
   * @throws Error when there is none that is good, and none is to be had now; or for settings that do not fit
   */
  static async open(settings: AcmeSettings, parts: AcmeParts): Promise<AcmeCertificate | undefined> {
    if (!isWanted(settings)) return undefined;
    const account = await accountOf(settings);
    const acme = new AcmeCertificate(settings, account, parts);
    await acme.#listen();
    try {
      if (!acme.#isGood()) await acme.#orderFirst();
    } catch (error) {
      await acme.stop();
      throw error;
    }
    acme.#waitToLook();
    return acme;
  }

  /** Where the certificate lies, with its chain and its key, PEM: they are replaced in one step, so that a kill leaves a good pair. */
  get file(): string {
    return join(this.#folder, 'tls.pem');
  }

  /** Where challenges are answered. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** Why the next certificate could not be had; undefined when nothing is wrong. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Orders the next certificate when it is time; what fails leaves the one that is there, loudly. */
  async look(): Promise<void> {
    const { beginsAt, endsAt } = this.#life;
    const now = this.#wallMs();
    if (now <= beginsAt + (endsAt - beginsAt) * RENEW_AT || now < this.#asksAgainAt) return;
    this.#ordering ??= this.#order().finally(() => {
      this.#ordering = undefined;
    });
    await this.#ordering.catch(() => undefined);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const server = this.#server;
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  }

  /** Life of what is there: nobody else writes the file, but somebody may have taken it away. */
  get #life(): Life {
    return existsSync(this.file) ? this.#written : NOTHING;
  }

  #waitToLook(): void {
    const { beginsAt, endsAt } = this.#life;
    const next = async (): Promise<void> => {
      await this.look().catch((error: unknown) =>
        this.#log.error({ err: error }, 'the certificate cannot be looked at'),
      );
      if (this.#timer) this.#waitToLook();
    };
    const waitMs = Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, (endsAt - beginsAt) / LOOKS));
    this.#timer = setTimeout(() => void next(), waitMs);
    this.#timer.unref();
  }

  #isGood(): boolean {
    if (!existsSync(this.file)) return false;
    try {
      const text = readFileSync(this.file, 'utf8');
      this.#judge({ certificate: text, key: text });
      return true;
    } catch (error) {
      this.#log.warn(
        { why: (error as Error).message },
        'the certificate for devices is no good: another one is ordered',
      );
      return false;
    }
  }

  #judge(pair: CertificatePair): void {
    for (const name of this.#settings.SALLYPORT_ACME_NAMES)
      judgeCertificate(pair, { now: this.#wallMs(), use: 'server', names: [name] });
  }

  /** Whoever starts us again and again asks the authority no more often for it. */
  async #orderFirst(): Promise<void> {
    const until = this.#asksAgainAt;
    if (this.#wallMs() < until)
      throw new Error(
        `${this.#failure.words}; it is asked again after ${new Date(until).toISOString()}, because authorities count`,
      );
    await this.#order();
  }

  async #order(): Promise<void> {
    try {
      const pair = await orderCertificate(this.#settings, this.#accountKey);
      this.#judge(pair);
      replacePrivateFile(this.file, `${pair.key.trimEnd()}\n${pair.certificate}`);
      this.#written = lifeOf(pair.certificate);
    } catch (error) {
      this.#noteFailure(error as Error);
      throw new Error(this.#trouble, { cause: error });
    }
    this.#trouble = undefined;
    this.#noteFailures({ count: 0, until: 0, words: '' });
    this.#log.info({ names: this.#settings.SALLYPORT_ACME_NAMES }, 'the authority gave a certificate for devices');
  }

  get #failureFile(): string {
    return join(this.#folder, 'failure.json');
  }

  /** No order is made before, epoch ms. A clock that was ahead must not keep a Proxy from its certificate. */
  get #asksAgainAt(): number {
    return Math.min(this.#failure.until, this.#wallMs() + MAX_AGAIN_MS);
  }

  /** For this process and, in the file, for the next one. */
  #noteFailures(failure: OrderFailure): void {
    this.#failure = failure;
    replacePrivateFile(this.#failureFile, JSON.stringify(failure));
  }

  #noteFailure({ message }: Error): void {
    this.#failed();
    const count = this.#failure.count + 1;
    const waitMs = Math.min(MAX_AGAIN_MS, AGAIN_MS * 2 ** (count - 1));
    // What an authority says goes to terminals and logs.
    const said = message.replace(/[^\x20-\x7e]/g, '?').slice(0, 256);
    this.#trouble = `the authority gave no certificate for ${this.#settings.SALLYPORT_ACME_NAMES.join(', ')}: ${said}`;
    this.#log.error(
      { why: this.#trouble, failures: count },
      'a certificate for devices was not given; the one before stays',
    );
    this.#noteFailures({ count, until: this.#wallMs() + waitMs, words: this.#trouble });
  }

  /**
   * Answers challenges and nothing else, without TLS: the authority asks so (RFC 8555, section 8.3). The answer to any token is that token
   * with the thumbprint of the account, so that each of several Proxies with one account answers for all of them.
   */
  async #listen(): Promise<void> {
    const { host, port } = this.#settings.SALLYPORT_ACME_LISTEN!;
    const server = createServer(
      {
        maxHeaderSize: 8_192,
        headersTimeout: SILENCE_MS,
        requestTimeout: SILENCE_MS,
        connectionsCheckingInterval: 1_000,
      },
      guardedListener(this.#log, (request, response) => {
        const path = pathOf(request) ?? '';
        const token = path.startsWith(CHALLENGE_PATH) ? path.slice(CHALLENGE_PATH.length) : '';
        const isAsked = request.method === 'GET' && TOKEN.test(token);
        const fields = { 'content-type': 'application/octet-stream', 'x-content-type-options': 'nosniff' };
        response.writeHead(isAsked ? 200 : 404, { ...fields, connection: 'close' });
        response.end(isAsked ? `${token}.${this.#thumbprint}` : '');
      }),
    );
    server.maxConnections = MAX_SOCKETS;
    server.on('clientError', (_error, socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, resolve);
    });
    this.#server = server;
  }
}

function lifeIn(file: string): Life {
  try {
    return lifeOf(readFileSync(file, 'utf8'));
  } catch {
    return NOTHING;
  }
}

/** What the process before noted; what cannot be read is as if nothing had failed. */
function failureIn(file: string): OrderFailure {
  const none = { count: 0, until: 0, words: '' };
  try {
    return { ...none, ...(readJsonFile(file) as Partial<OrderFailure>) };
  } catch {
    return none;
  }
}

function folderOf({ SALLYPORT_DATA: data }: AcmeSettings): string {
  return join(data, 'acme');
}

/** True where an authority is named. @throws Error for settings that do not fit each other */
function isWanted(settings: AcmeSettings): boolean {
  const { SALLYPORT_ACME_DIRECTORY: directory, SALLYPORT_ACME_NAMES: names, SALLYPORT_ACME_LISTEN: listen } = settings;
  if (directory === undefined) {
    if (names.length > 0 || listen || OF_ACME.some((name) => settings[name] !== undefined))
      throw new Error('SALLYPORT_ACME_DIRECTORY is missing: without it the other settings of ACME do nothing');
    return false;
  }
  if (settings.SALLYPORT_TLS_CERT || settings.SALLYPORT_TLS_KEY)
    throw new Error('either SALLYPORT_TLS_CERT or SALLYPORT_ACME_DIRECTORY: a listener has one certificate');
  if (names.length === 0) throw new Error('SALLYPORT_ACME_NAMES is missing: for which names is the certificate?');
  const unfit = names.find((name) => !/^(?=.{1,253}$)([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}$/i.test(name));
  if (unfit !== undefined)
    throw new Error(`SALLYPORT_ACME_NAMES: no authority gives a certificate for "${unfit}" by http-01`);
  if (!listen) throw new Error('SALLYPORT_ACME_LISTEN is missing: the authority asks there, by port 80 of each name');
  if (URL.parse(directory)?.protocol !== 'https:')
    throw new Error('SALLYPORT_ACME_DIRECTORY is no https:// URL: anybody could pretend to be the authority');
  assertBinding(settings);
  return true;
}

/** What does nothing without an authority. */
const OF_ACME = [
  'SALLYPORT_ACME_CONTACT',
  'SALLYPORT_ACME_CA',
  'SALLYPORT_ACME_ACCOUNT_KEY',
  'SALLYPORT_ACME_EAB_KID',
  'SALLYPORT_ACME_EAB_KEY',
] as const satisfies readonly (keyof AcmeSettings)[];

function assertBinding({ SALLYPORT_ACME_EAB_KID: kid, SALLYPORT_ACME_EAB_KEY: key }: AcmeSettings): void {
  if ((kid === undefined) !== (key === undefined))
    throw new Error('SALLYPORT_ACME_EAB_KID and SALLYPORT_ACME_EAB_KEY belong together: one of them is missing');
  if (key && !BINDING_KEY.test(key.reveal()))
    throw new Error('SALLYPORT_ACME_EAB_KEY is no key of an account binding: base64url, as the authority gives it');
}

/** The key of the account, PEM, with its thumbprint (RFC 7638): the one that Proxies share, or one of our own that is kept. */
async function accountOf(settings: AcmeSettings): Promise<{ readonly key: string; readonly thumbprint: string }> {
  const folder = folderOf(settings);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const own = join(folder, 'account.key');
  const { crypto: keys } = await loadAcmeClient();
  if (settings.SALLYPORT_ACME_ACCOUNT_KEY === undefined && !existsSync(own))
    replacePrivateFile(own, (await keys.createPrivateEcdsaKey('P-256')).toString());
  const file = settings.SALLYPORT_ACME_ACCOUNT_KEY ?? own;
  try {
    const key = readFileSync(file, 'utf8');
    return { key, thumbprint: await calculateJwkThumbprint(keys.getJwk(key) as JWK) };
  } catch {
    // Its words may hold some of what is read.
    throw new Error(`${file} holds no key of an account: a private key in PEM, of RSA or P-256`);
  }
}
