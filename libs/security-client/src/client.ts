import { randomBytes } from 'node:crypto';
import { type ChannelKey, type Evidence, encodeHint, formatBase64Url, keyOf, parseBase64Url } from '@sallyport/channel';
import { BusyError, Places } from '@sallyport/places';
import {
  AuthoriseAnswer,
  AuthoriseAnswers,
  type AuthoriseRequest,
  ChallengeAnswer,
  EvidenceAnswer,
  type Grant,
  KeptAnswer,
  type KeptRevocation,
  MAX_AUTHORIZATIONS,
  MAX_RIGHTS_READ,
  PROXY_PATHS,
  parseJson,
  parserOf,
  ReauthoriseAnswer,
  RelayAnswer,
  RightsAnswer,
  type ShownRequest,
  SiteMapAnswer,
} from '@sallyport/security-api';
import { Agent, type Dispatcher, request } from 'undici';
import { Batcher, type Rank } from './batcher.ts';
import { SecurityClientError } from './errors.ts';
import type { ProxyIdentity } from './identity.ts';
import type { NodeList } from './node-list.ts';
import { isUnsent } from './unsent.ts';

const parseRelay = parserOf(RelayAnswer);
const parseAuthoriseAnswers = parserOf(AuthoriseAnswers);
const parseAuthorise = parserOf(AuthoriseAnswer);
const parseReauthorise = parserOf(ReauthoriseAnswer);
const parseRights = parserOf(RightsAnswer);
const parseChallenge = parserOf(ChallengeAnswer);
const parseEvidence = parserOf(EvidenceAnswer);
const parseKept = parserOf(KeptAnswer);
const parseSiteMap = parserOf(SiteMapAnswer);
/** A request is given up after this, ms. */
const TIMEOUT_MS = 15_000;
/**
 * Without an answer by then the next node is asked as well, ms, unless this one answers others: it is busy then. Requests
 * have ids, so being asked twice does no harm.
 */
const HEDGE_MS = 600;
/** A node that answers others but not this request is given up after this, ms. */
const PATIENCE_MS = 5_000;
/** A node that is busy takes its time for a TLS handshake, too; whether it is silent is seen sooner by the hedge, ms. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Connections to one node. */
const MAX_CONNECTIONS = 64;
/**
 * Messages of those whom nobody knows yet, handed to Security at once: half of the connections, so that HELLOs and rights of
 * sessions never wait for them. More wait in line; where that is too long, devices are told when to come back.
 */
const RELAYS = { places: MAX_CONNECTIONS / 2, maxWaiting: 2_000, maxWaitMs: 10_000 } as const;
/** Requests with HELLOs at once: over a line with a long way the second one sets out before the first one's answer is here. */
const MAX_BATCHES = 2;
/** Longer than a node near by takes for a request: there one at a time takes more HELLOs, and each costs it less. */
const BATCH_BESIDE_AFTER_MS = 25;
/** Requests for rights at once: when those of everybody change, as many as a node has work for. */
const MAX_RIGHTS_BATCHES = 4;
/** What is open when an entry changes rights has a second: before that is over, requests that hang count no more. */
const SLOW_RIGHTS = { afterMs: 400, most: 12 } as const;
/** Security takes bodies of 256 KiB. */
const MAX_BATCH_CHARACTERS = 128 * 1024;

/** Pages and packages for who has a link only: they never take a connection of those who have a session. */
const MAX_INSTALL_CONNECTIONS = 16;

/** A page or a package for who has a link: asked for at this path, for bytes from there on. */
export interface InstallAsk {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly range: string | undefined;
  /** Ends it: nobody reads it any more. */
  readonly signal: AbortSignal;
}

/** Security's message for a device, and the handshake it belongs to. */
export interface Relayed {
  /** Opaque: which node has the handshake, and its id there. */
  readonly handshake?: { readonly url: string; readonly id: string };
  readonly message: Uint8Array;
}

/** Rights of a channel, and what goes to its device as it is; undefined in a realm of one site. */
export interface ReadAgain {
  readonly grant: Grant;
  /** Hash of the entry of the log as of which it was read; undefined from a node of the version before. */
  readonly asOfHash: string | undefined;
  readonly routes: Uint8Array | undefined;
}

/** For whom rights are read, as it stands when the request for them sets out. */
export interface RightsAsker {
  /** What waits for them: 0 is what an entry of the log must have before it is in force, 1 requests, 2 nothing. */
  readonly rank: Rank;
  /** True when nobody wants them any more. */
  readonly isOver: boolean;
}

/** A channel whose rights are to be read again. */
interface RightsQuestion {
  readonly sid: string;
  readonly asker: RightsAsker;
}

const ALONE: RightsAsker = { rank: 0, isOver: false };
const NO_CHANNEL: RightsAnswer = { ended: 'NO_CHANNEL' };
const UNAVAILABLE: RightsAnswer = { ended: 'UNAVAILABLE' };

/** Outcome of a HELLO. */
export type Authorised =
  | (ReadAgain & { readonly channelKey: ChannelKey })
  | { readonly hint: string; readonly retryAfterMs: number };

/** One request to a node. */
interface Ask<T> {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly body?: object;
  readonly parse: (value: unknown) => T | undefined;
}

/**
 * A Proxy's client of Security over mutual TLS. Knows several nodes: when one refuses the connection the next is asked at
 * once, when one is silent the next is asked beside it, and the first answer counts. A handshake stays with its node.
 */
export class SecurityClient {
  readonly #nodes: NodeList;
  /** This run of the process, as Security knows it from the beats. */
  #instance: () => string = () => '';
  readonly #authorizations = new Batcher<AuthoriseRequest, AuthoriseAnswer | undefined>(
    (requests) => this.#authorise(requests),
    {
      maxRunning: MAX_BATCHES,
      besideAfterMs: BATCH_BESIDE_AFTER_MS,
      maxQuestions: MAX_AUTHORIZATIONS,
      weight: { of: ({ hello }) => hello.length, most: MAX_BATCH_CHARACTERS },
    },
  );
  readonly #rights = new Batcher<RightsQuestion, RightsAnswer | undefined>((questions) => this.#readRights(questions), {
    maxRunning: MAX_RIGHTS_BATCHES,
    besideAfterMs: BATCH_BESIDE_AFTER_MS,
    maxQuestions: MAX_RIGHTS_READ,
    rankOf: ({ asker }) => asker.rank,
    slow: SLOW_RIGHTS,
  });
  readonly #relays = new Places(RELAYS);
  #agent: Agent;
  #installs: Agent;

  constructor(identity: ProxyIdentity, nodes: NodeList) {
    this.#agent = createAgent(identity);
    this.#installs = createAgent(identity, MAX_INSTALL_CONNECTIONS);
    this.#nodes = nodes;
  }

  /** Takes a renewed certificate; resolves when what was under way with the old one has ended. */
  async useIdentity(identity: ProxyIdentity): Promise<void> {
    const [old, installs] = [this.#agent, this.#installs];
    this.#agent = createAgent(identity);
    this.#installs = createAgent(identity, MAX_INSTALL_CONNECTIONS);
    // A package may take long; nobody waits for that.
    void installs.close().catch(() => undefined);
    await old.close();
  }

  /** Grants belong to the run of the process that opens the channel: whose beats name this instance. */
  useInstance(instance: () => string): void {
    this.#instance = instance;
  }

  /** Hands HS1 over. A node that comes too late with its HS2 just forgets the handshake. */
  async beginHandshake(message: Uint8Array, address: string): Promise<Relayed> {
    const body = { message: formatBase64Url(message), address };
    const ask = { path: PROXY_PATHS.handshakes, method: 'POST', body, parse: parseRelay } as const;
    return this.#relay(async () => {
      const { url, answer } = await this.#anyNode(ask);
      return relayedOf(url, answer);
    });
  }

  /**
   * Hands HS3, or a STEP, to the node that answered HS1. Never repeated: no handshake message is answered twice. The
   * answer names the handshake again when a step-up goes on.
   */
  async finishHandshake(
    handshake: NonNullable<Relayed['handshake']>,
    message: Uint8Array,
    address: string,
  ): Promise<Relayed> {
    const body = { message: formatBase64Url(message), address };
    const path = `${PROXY_PATHS.handshakes}/${handshake.id}`;
    const ask = { path, method: 'POST', body, parse: parseRelay } as const;
    // What has begun goes before what only wants to begin.
    return this.#relay(async () => relayedOf(handshake.url, await this.#send(handshake.url, ask)), { urgent: true });
  }

  /** Asks whether a HELLO may open a channel. */
  async authorise(hello: Uint8Array, address: string): Promise<Authorised> {
    const request = randomBytes(16).toString('hex');
    const answer = await this.#authorizations.ask({ hello: formatBase64Url(hello), address, request });
    if (!answer) throw notValid();
    if ('hint' in answer) return { hint: answer.hint, retryAfterMs: answer.retryAfterMs ?? 0 };
    return { ...readOf(answer), channelKey: keyOf<ChannelKey>(parseBase64Url(answer.channelKey)) };
  }

  async #authorise(requests: readonly AuthoriseRequest[]): Promise<readonly (AuthoriseAnswer | undefined)[]> {
    const body = { instance: this.#instance(), requests };
    const ask = { path: PROXY_PATHS.authorise, method: 'POST', body, parse: parseAuthoriseAnswers } as const;
    return (await this.#anyNode(ask)).answer.answers.map(parseAuthorise);
  }

  /** Hands END over; any node answers it, and as often as it is asked. */
  async endSession(message: Uint8Array, address: string): Promise<Uint8Array> {
    const body = { message: formatBase64Url(message), address };
    const ask = { path: PROXY_PATHS.end, method: 'POST', body, parse: parseRelay } as const;
    const { message: answer } = await this.#relay(async () => relayedOf('', (await this.#anyNode(ask)).answer));
    return answer;
  }

  /**
   * Reads the rights of an open channel of this instance again, or gives why there are none. Where many are read, those for which more
   * waits go first; when the asker is over, nobody is asked.
   * @throws SecurityClientError
   */
  async reauthorise(sid: string, asker: RightsAsker = ALONE): Promise<ReadAgain | 'over' | 'no channel'> {
    const answer = await this.#rights.ask({ sid, asker });
    if (!answer) throw notValid();
    if ('grant' in answer) {
      if (answer.grant.sid !== sid) throw notValid();
      return readOf(answer);
    }
    if (answer.ended === 'UNAVAILABLE')
      throw new SecurityClientError('ERR_SECURITY_REFUSED', 'Security could not tell the rights of a channel');
    return answer.ended === 'SESSION_EXPIRED' ? 'over' : 'no channel';
  }

  async #readRights(questions: readonly RightsQuestion[]): Promise<readonly (RightsAnswer | undefined)[]> {
    const wanted = questions.filter(({ asker }) => !asker.isOver);
    const answers = wanted.length === 0 ? [] : await this.#askRights(wanted.map(({ sid }) => sid));
    if (answers.length !== wanted.length) throw notValid();
    const answerTo = new Map(wanted.map((question, i) => [question, answers[i]]));
    return questions.map((question) => (answerTo.has(question) ? answerTo.get(question) : NO_CHANNEL));
  }

  async #askRights([sid, ...others]: readonly string[]): Promise<readonly (RightsAnswer | undefined)[]> {
    const body = { sid, instance: this.#instance(), ...(others.length > 0 && { others }) };
    const ask = { path: PROXY_PATHS.reauthorise, method: 'POST', body, parse: parseReauthorise } as const;
    const { answer } = await this.#anyNode(ask);
    const first = parseRights(answer);
    if (others.length === 0 || answer.others) return [first, ...(answer.others ?? []).map(parseRights)];
    // A node of the version before answers for the first alone.
    const alone = others.map(async (other) => (await this.#askRights([other]))[0]);
    const settled = await Promise.allSettled(alone);
    return [first, ...settled.map((one) => (one.status === 'fulfilled' ? one.value : UNAVAILABLE))];
  }

  /** A challenge for fresh evidence of the device of an open channel; undefined when the channel is over at Security. */
  async evidenceChallenge(sid: string): Promise<Uint8Array | undefined> {
    const body = { sid, instance: this.#instance() };
    const ask = { path: PROXY_PATHS.challenges, method: 'POST', body, parse: parseChallenge } as const;
    const { answer } = await this.#anyNode(ask);
    return 'challenge' in answer ? parseBase64Url(answer.challenge) : undefined;
  }

  /** Hands over evidence of the device of an open channel; true when it proved something. */
  async sendEvidence(sid: string, { challenge, statement, connector, proof }: Evidence): Promise<boolean> {
    const bytes = { challenge: formatBase64Url(challenge), statement: formatBase64Url(statement) };
    const body = { sid, instance: this.#instance(), ...bytes, connector, proof };
    const ask = { path: PROXY_PATHS.evidence, method: 'POST', body, parse: parseEvidence } as const;
    const { answer } = await this.#anyNode(ask);
    return 'taken' in answer && answer.taken;
  }

  /**
   * Brings back what was applied of epochs before the present one, so many at once as `MAX_KEPT_AT_ONCE` says.
   * @throws SecurityClientError also ERR_SECURITY_REFUSED of a node of a version that does not take it
   */
  async bringBack(entries: readonly KeptRevocation[]): Promise<KeptAnswer> {
    const ask = { path: PROXY_PATHS.kept, method: 'POST', body: { entries }, parse: parseKept } as const;
    return (await this.#anyNode(ask)).answer;
  }

  /** Tells of the certificates that this Proxy shows, for the registry. */
  async tellCertificates(certificates: ShownRequest['certificates']): Promise<void> {
    const ask = {
      path: PROXY_PATHS.shown,
      method: 'POST',
      body: { certificates },
      parse: (value: unknown) => value,
    } as const;
    await this.#anyNode(ask);
  }

  /** The realm's signed site map; one of at least that `seq`, if the node can give it. */
  async siteMap(seq?: number): Promise<SiteMapAnswer> {
    const path = seq === undefined ? PROXY_PATHS.siteMap : `${PROXY_PATHS.siteMap}?seq=${seq}`;
    return (await this.#anyNode({ path, method: 'GET', parse: parseSiteMap })).answer;
  }

  /**
   * Fetches a page or a package for who has a link, whatever its status; its body is to be read or destroyed.
   * @throws SecurityClientError ERR_SECURITY_UNREACHABLE when no node answers
   */
  async installPage({ path, method, range, signal }: InstallAsk): Promise<Dispatcher.ResponseData> {
    let cause: unknown;
    for (const url of this.#nodes.inOrder) {
      try {
        const headers = range === undefined ? {} : { range };
        return await request(`${url}${path}`, { method, headers, signal, dispatcher: this.#installs });
      } catch (error) {
        // What a node may have done is not asked of another one: a link is used up once.
        if (method === 'POST' && !isUnsent(error)) throw unreachable(url, error);
        cause = error;
      }
    }
    throw unreachable('any node', cause);
  }

  async close(): Promise<void> {
    await Promise.all([this.#agent.destroy(), this.#installs.destroy()]);
  }

  /** Hands a message over in its turn. A line that is too long is an answer to the device: come back then. */
  #relay(work: () => Promise<Relayed>, urgency: { readonly urgent?: boolean } = {}): Promise<Relayed> {
    return this.#relays.run(work, urgency).catch((error: unknown) => {
      if (error instanceof BusyError) return { message: encodeHint('BUSY', error.retryAfterMs) };
      throw error;
    });
  }

  /**
   * Asks the nodes in order until one answers; a refusal is an answer.
   * @throws SecurityClientError ERR_SECURITY_UNREACHABLE when none does
   */
  #anyNode<T>(ask: Ask<T>): Promise<{ url: string; answer: T }> {
    const urls = [...this.#nodes.inOrder];
    return new Promise((resolve, reject) => {
      let open = 0;
      let hedge: NodeJS.Timeout | undefined;
      const next = (): void => {
        clearTimeout(hedge);
        const url = urls.shift();
        if (url === undefined) return;
        open += 1;
        if (urls.length > 0) hedge = this.#whenSilent(url, next);
        this.#send(url, ask).then(
          (answer) => {
            clearTimeout(hedge);
            this.#nodes.answered(url);
            resolve({ url, answer });
          },
          (error: SecurityClientError) => {
            open -= 1;
            if (error.code !== 'ERR_SECURITY_UNREACHABLE') {
              clearTimeout(hedge);
              return reject(error);
            }
            this.#nodes.failed(url);
            if (urls.length > 0) return next();
            if (open === 0) reject(error);
          },
        );
      };
      next();
    });
  }

  /** Calls `next` once a node is silent, and so probably gone. */
  #whenSilent(url: string, next: () => void, askedAt: number = performance.now()): NodeJS.Timeout {
    const timer = setTimeout(() => {
      const busy = this.#nodes.answeredWithin(url, HEDGE_MS) && performance.now() - askedAt < PATIENCE_MS;
      if (busy) return void timer.refresh();
      this.#nodes.failed(url);
      next();
    }, HEDGE_MS);
    return timer;
  }

  async #send<T>(url: string, { path, method, body, parse }: Ask<T>): Promise<T> {
    const answer = await request(`${url}${path}`, {
      method,
      dispatcher: this.#agent,
      ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
    })
      .then(async ({ statusCode, body: text }) => ({ statusCode, text: await text.text() }))
      .catch((cause: unknown) => {
        throw new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security does not answer at ${url}`, { cause });
      });
    if (answer.statusCode >= 500)
      throw new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security answered ${answer.statusCode}`);
    if (answer.statusCode !== 200)
      throw new SecurityClientError('ERR_SECURITY_REFUSED', `Security answered ${answer.statusCode}`);
    const parsed = parse(parseJson(answer.text));
    if (parsed === undefined) throw notValid();
    return parsed;
  }
}

function notValid(): SecurityClientError {
  return new SecurityClientError('ERR_SECURITY_ANSWER', 'the answer of Security is not valid');
}

function unreachable(url: string, cause: unknown): SecurityClientError {
  return new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security does not answer at ${url}`, { cause });
}

/** Rights as a node sends them. */
interface SentRights {
  readonly grant: Grant;
  readonly asOfHash?: string;
  readonly routes?: string;
}

function readOf({ grant, asOfHash, routes }: SentRights): ReadAgain {
  return { grant, asOfHash, routes: routes === undefined ? undefined : parseBase64Url(routes) };
}

function relayedOf(url: string, { message, handshake: id }: RelayAnswer): Relayed {
  return { message: parseBase64Url(message), ...(id === undefined ? {} : { handshake: { url, id } }) };
}

function createAgent({ ca, certificate, key }: ProxyIdentity, connections: number = MAX_CONNECTIONS): Agent {
  return new Agent({
    connect: { ca, cert: certificate, key, timeout: CONNECT_TIMEOUT_MS },
    connections,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    allowH2: false,
  });
}
