import type { TLSSocket } from 'node:tls';
import {
  type AccessContext,
  type Attestation,
  type Authorisation,
  authorise,
  type Bus,
  type HelloDoubt,
  type HelloRequest,
  isJoinToken,
  type JournalWriter,
  joinPod,
  memoryThrottle,
  type NoRights,
  type PolicyCache,
  type Presence,
  type ReadRights,
  reauthorise,
  recordCertificates,
  redeemJoinToken,
  renewProxy,
  takeBack,
} from '@sallyport/access';
import { certificatesOf } from '@sallyport/certificates';
import { type ChannelError, decodeHello, formatBase64Url, parseBase64Url } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import {
  type AuthoriseAnswer,
  type AuthoriseAnswers,
  AuthoriseBatch,
  AuthoriseRequest,
  type JoinAnswer,
  JoinRequest,
  type KeptAnswer,
  KeptRequest,
  PodJoinRequest,
  PROXY_PATHS,
  parserOf,
  type ReauthoriseAnswer,
  ReauthoriseRequest,
  type RelayAnswer,
  RelayRequest,
  RenewRequest,
  type RightsAnswer,
  ShownRequest,
  type SiteMapAnswer,
  SiteMapQuery,
} from '@sallyport/security-api';
import { addressKey } from '@sallyport/settings';
import type { Log } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import type { SecurityNode } from '../farm/node.ts';
import { type IdentifyProxy, type KnownProxy, keyHashOf, notOurs } from '../farm/proxy-identity.ts';
import type { ServiceAccounts, TokenRefusal } from '../farm/service-accounts.ts';
import { assertionJwks, withAssertions } from '../keys/assertions.ts';
import { type CertificateRequest, readCertificateRequest } from '../keys/certificates.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import { type ReplacedSessions, SessionAnswers } from '../revocation/session-end.ts';
import type { Handshakes, RelayResult } from '../sign-in/handshakes.ts';
import type { RefusalRecord } from '../sign-in/refusals.ts';
import { rootKeyOf } from '../sign-in/site-map.ts';
import type { AddressThrottle } from '../stores/address-throttle.ts';
import { UPDATES_PREFIX } from '../updates/update-routes.ts';
import { addEvidenceRoutes } from './evidence.ts';

const parseRequest = parserOf(AuthoriseRequest);

/** Paths that need no client certificate: a Proxy that joins has none yet, and backends never have one. */
const OPEN_PATHS: readonly string[] = [PROXY_PATHS.join, PROXY_PATHS.joinPod, PROXY_PATHS.jwks, '/healthz', '/readyz'];

declare module 'fastify' {
  interface FastifyRequest {
    /** The Proxy that asks, on paths that need one. */
    proxy: KnownProxy;
  }
}

/** What Proxies are served with. */
export interface ProxyApiParts {
  readonly access: AccessContext;
  readonly attestation: Attestation;
  readonly policies: PolicyCache;
  readonly liveKeys: LiveKeys;
  readonly handshakes: Handshakes;
  readonly siteMap: (seq?: number) => Promise<string>;
  readonly identify: IdentifyProxy;
  readonly node: Pick<SecurityNode, 'proxyUrls'>;
  readonly presence: Presence;
  readonly bus: Bus;
  readonly replaced: ReplacedSessions;
  /** How long certificates of Proxies are good, ms. */
  readonly certificateLifeMs: number;
  readonly addressThrottle: AddressThrottle;
  readonly refusals: RefusalRecord;
  /** Undefined where no pod may join. */
  readonly serviceAccounts: ServiceAccounts | undefined;
  /** Undefined where there is no journal. */
  readonly journal: Pick<JournalWriter, 'mayLease' | 'upTo'> | undefined;
  readonly log: Log;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
}

/** Routes for Proxies. Authentication runs before a body is read. */
export function addProxyApi(service: FastifyInstance, routes: ProxyApiParts): void {
  service.addHook('onRequest', async (request) => {
    const { url = '' } = request.routeOptions;
    if (OPEN_PATHS.includes(url) || url.startsWith(`${UPDATES_PREFIX}/`)) return;
    const proxy = await routes.identify(request.raw.socket as TLSSocket);
    if (!proxy) throw notOurs();
    request.proxy = proxy;
  });
  addRelayRoutes(service, routes);
  addAuthoriseRoutes(service, routes);
  const sessionAnswers = new SessionAnswers(routes);
  service.post<{ Body: RelayRequest }>(PROXY_PATHS.end, { schema: { body: RelayRequest } }, async ({ body }) =>
    relayAnswer({ message: await sessionAnswers.answer(bytesOf(body.message), body.address) }),
  );
  addCertificateRoutes(service, routes);
  addKeptRoute(service, routes);
  addEvidenceRoutes(service, routes);
  service.get(PROXY_PATHS.jwks, async () => assertionJwks(routes));
  service.get<{ Querystring: SiteMapQuery }>(
    PROXY_PATHS.siteMap,
    { schema: { querystring: SiteMapQuery } },
    async ({ query }): Promise<SiteMapAnswer> => {
      const siteMap = await routes.siteMap(Number(query.seq ?? 0));
      return { siteMap, rootKey: rootKeyOf(siteMap) };
    },
  );
}

/** A Proxy brings what it has kept once after a restore; one that goes on and on costs no more than this. */
const KEPT_LIMIT = { burst: 200, perMinute: 120 } as const;

/** What Proxies have kept of the epochs before: appended, and in the journal, before the Proxy hears that it may forget it. */
function addKeptRoute(service: FastifyInstance, routes: ProxyApiParts): void {
  const { access, bus, journal, log, refusals, monotonicMs } = routes;
  const throttle = memoryThrottle({ ...KEPT_LIMIT, now: monotonicMs });
  service.post<{ Body: KeptRequest }>(
    PROXY_PATHS.kept,
    { schema: { body: KeptRequest } },
    async ({ body, proxy, ip }): Promise<KeptAnswer> => {
      if ((await throttle.take(proxy.name)) > 0)
        throw new ProblemError('ERR_SECURITY_SLOW', 'this Proxy brings back too much at once');
      const { appended, index, refused, foreign } = await takeBack(access, proxy.name, body.entries);
      if (refused > 0)
        refusals.note({ action: 'revoke.again', subject: proxy.name, why: 'Security never wrote this', address: ip });
      if (appended.length > 0) {
        log.warn({ proxy: proxy.name, entries: appended.length }, 'a Proxy has brought back what no journal had');
        bus.publish('entries');
      }
      await journal?.upTo(index);
      return { appended: appended.length, refused, foreign: [...foreign] };
    },
  );
}

function addRelayRoutes(service: FastifyInstance, { handshakes }: ProxyApiParts): void {
  service.post<{ Body: RelayRequest }>(PROXY_PATHS.handshakes, { schema: { body: RelayRequest } }, async ({ body }) =>
    relayAnswer(await handshakes.begin(bytesOf(body.message), body.address)),
  );
  service.post<{ Body: RelayRequest; Params: { id: string } }>(
    `${PROXY_PATHS.handshakes}/:id`,
    { schema: { body: RelayRequest } },
    async ({ body, params }) => relayAnswer(await handshakes.finish(params.id, bytesOf(body.message))),
  );
}

function relayAnswer({ handshake, message }: RelayResult): RelayAnswer {
  return { message: formatBase64Url(message), ...(handshake === undefined ? {} : { handshake }) };
}

function addAuthoriseRoutes(service: FastifyInstance, routes: ProxyApiParts): void {
  const { access, policies } = routes;
  service.post<{ Body: AuthoriseBatch }>(
    PROXY_PATHS.authorise,
    { schema: { body: AuthoriseBatch } },
    async ({ body, proxy, ip }): Promise<AuthoriseAnswers> => {
      const holder = { ...proxy, instance: body.instance };
      const asked = body.requests.map(askedOf);
      const requests = asked.filter((one) => one !== undefined);
      const decided = (await authorise(access, policies, { requests, holder }))?.values();
      if (!decided) throw notOurs();
      const answers = asked.map((one) => (one ? decided.next().value : undefined));
      for (const answer of answers)
        if (answer?.status === 'refused') noteDoubt(routes, { proxy, ip, doubt: answer.doubt });
      return { answers: answers.map((answer) => authoriseAnswer(routes, proxy.name, answer)) };
    },
  );
  service.post<{ Body: ReauthoriseRequest }>(
    PROXY_PATHS.reauthorise,
    { schema: { body: ReauthoriseRequest } },
    async ({ body, proxy, ip }): Promise<ReauthoriseAnswer> => {
      const { sid, others, instance } = body;
      const sids = [sid, ...(others ?? [])];
      const read = await reauthorise(access, policies, { sids, holder: { ...proxy, instance } });
      if (read.includes('no proxy')) throw notOurs();
      const answers = read.map((rights, i) => rightsAnswer(routes, { sid: sids[i]!, proxy, ip }, rights));
      // Another node may be able to.
      if (answers.every(isUnavailable)) throw new Error('this node can tell no rights');
      const [first, ...rest] = answers;
      return { ...first!, ...(others && { others: rest }) };
    },
  );
}

function isUnavailable(answer: RightsAnswer): boolean {
  return 'ended' in answer && answer.ended === 'UNAVAILABLE';
}

/** What a Proxy is told of the rights of a channel that it asked for. */
function rightsAnswer(
  routes: ProxyApiParts,
  { sid, proxy, ip }: { readonly sid: string; readonly proxy: KnownProxy; readonly ip: string },
  rights: ReadRights | NoRights,
): RightsAnswer {
  if (rights === 'over') return { ended: 'SESSION_EXPIRED' };
  if (rights === 'not its channel') {
    const why = 'it asked for the rights of a session that opened no channel with it at its site';
    routes.refusals.note({ action: 'proxy.rights', subject: proxy.name, why, address: ip });
  }
  if (typeof rights === 'string') return { ended: 'NO_CHANNEL' };
  routes.presence.saw(sid, { proxy: proxy.name, at: routes.wallMs() });
  try {
    return sentRights(routes, rights);
  } catch (error) {
    routes.log.error({ err: error, sid }, 'rights could not be told');
    return { ended: 'UNAVAILABLE' };
  }
}

/** What an honest Proxy would hardly bring is on record, with its name. */
function noteDoubt(
  { refusals }: ProxyApiParts,
  { proxy, ip, doubt }: { readonly proxy: KnownProxy; readonly ip: string; readonly doubt: HelloDoubt | undefined },
): void {
  if (!doubt) return;
  const why = `it brought a HELLO of a live session ${doubt}`;
  refusals.note({ action: 'proxy.authorise', subject: proxy.name, why, address: ip });
}

function authoriseAnswer(routes: ProxyApiParts, proxy: string, answer: Authorisation | undefined): AuthoriseAnswer {
  if (!answer) return { hint: 'BAD_MESSAGE' };
  if (answer.status === 'refused') return { hint: answer.hint };
  const { presence, replaced, log, wallMs } = routes;
  const { grant, channelKey, first } = answer;
  if (first) replaced.makeWay(grant.installationId);
  presence.saw(grant.sid, { proxy, at: wallMs() });
  const key = formatBase64Url(channelKey);
  channelKey.fill(0);
  try {
    return { ...sentRights(routes, answer), channelKey: key };
  } catch (error) {
    log.error({ err: error, sid: grant.sid }, 'a grant could not be made');
    return { hint: 'UNAVAILABLE' };
  }
}

/** Rights as they are sent; `of` has routes for the device in a realm of several sites. */
function sentRights(parts: ProxyApiParts, { grant, asOfHash, routes }: ReadRights) {
  return {
    grant: withAssertions(parts, grant),
    asOfHash,
    ...(routes && { routes: formatBase64Url(routes) }),
  };
}

/** One item of a batch as it is asked; undefined for one that is malformed, which is nothing to the others. */
function askedOf(item: unknown): HelloRequest | undefined {
  const request = parseRequest(item);
  if (!request) return undefined;
  try {
    const hello = decodeHello(parseBase64Url(request.hello));
    return { hello, requestId: request.request };
  } catch (error) {
    if ((error as ChannelError).name === 'ChannelError' || error instanceof TypeError) return undefined;
    throw error;
  }
}

type Issue = (request: CertificateRequest, proxy: { name: string; site: string }) => Promise<JoinAnswer>;

/** A Proxy tells of its certificates when they change. */
const SHOWN_LIMIT = { burst: 20, perMinute: 6 } as const;
/** A Proxy renews its certificate in the middle of its life: each time is in the audit log, whoever asks. */
const RENEW_LIMIT = { burst: 30, perMinute: 6 } as const;

function addCertificateRoutes(service: FastifyInstance, routes: ProxyApiParts): void {
  const { access, liveKeys, log, node, refusals, wallMs, monotonicMs } = routes;
  const throttle = memoryThrottle({ ...SHOWN_LIMIT, now: monotonicMs });
  const renewals = memoryThrottle({ ...RENEW_LIMIT, now: monotonicMs });
  const issue: Issue = async (request, proxy) => {
    const { ca, authorities } = liveKeys.current;
    const certificate = await ca.issueProxy(request, proxy.name, wallMs(), routes.certificateLifeMs);
    log.info({ proxy: proxy.name }, 'a certificate was issued');
    const { name, site } = proxy;
    return { certificate, ca: authorities.join('\n'), realm: access.store.realm, site, name, nodes: node.proxyUrls };
  };
  service.post<{ Body: ShownRequest }>(
    PROXY_PATHS.shown,
    { schema: { body: ShownRequest } },
    async ({ body, proxy }): Promise<object> => {
      if ((await throttle.take(proxy.name)) > 0)
        throw new ProblemError('ERR_SECURITY_SLOW', 'this Proxy tells of its certificates too often');
      for (const { chain } of body.certificates) checkChain(chain);
      await recordCertificates(access, { kind: 'proxy', name: proxy.name }, body.certificates);
      return {};
    },
  );
  service.post<{ Body: JoinRequest }>(PROXY_PATHS.join, { schema: { body: JoinRequest } }, async ({ body, ip }) => {
    const [id = '', secret = ''] = body.token.split('.');
    // Strangers cost no public-key work.
    const request = isJoinToken(access, secret) ? await requestOf(body.csr) : undefined;
    const proxy = request && (await redeemJoinToken(access, { id, secret }, keyHashOf(request.spki)));
    if (!proxy) {
      const why = 'the join token is unknown, used or expired, or its name means another Proxy by now';
      refusals.note({ action: 'proxy.join', subject: 'join token', why, address: ip });
      throw new ProblemError('ERR_SECURITY_JOIN', why);
    }
    return issue(request, proxy);
  });
  service.post<{ Body: RenewRequest }>(PROXY_PATHS.renew, { schema: { body: RenewRequest } }, async (asked) => {
    const { body, proxy, ip } = asked;
    if ((await renewals.take(proxy.name)) > 0)
      throw new ProblemError('ERR_SECURITY_SLOW', 'this Proxy renews its certificate too often');
    const request = await requestOf(body.csr);
    const renewed = await renewProxy(access, proxy, keyHashOf(request.spki));
    if (!renewed) {
      const why = 'only the key that a Proxy beats with can be renewed';
      refusals.note({ action: 'proxy.renew', subject: proxy.name, why, address: ip });
      throw new ProblemError('ERR_SECURITY_JOIN', why);
    }
    return issue(request, renewed);
  });
  if (routes.serviceAccounts) addPodRoute(service, { ...routes, serviceAccounts: routes.serviceAccounts }, issue);
}

function checkChain(chain: string): void {
  try {
    certificatesOf(chain);
  } catch {
    throw new ProblemError('ERR_HTTP_INVALID', 'expected certificates in PEM');
  }
}

/** Pods of one address that join: each costs a look at a signature, whoever asks. */
const POD_LIMIT = { burst: 60, perMinute: 60 } as const;

/** Proxies that a cluster vouches for: each pod joins once, at the one site of its service account. */
function addPodRoute(
  service: FastifyInstance,
  { access, refusals, serviceAccounts, wallMs, monotonicMs }: ProxyApiParts & { serviceAccounts: ServiceAccounts },
  issue: Issue,
): void {
  const throttle = memoryThrottle({ ...POD_LIMIT, now: monotonicMs });
  const refuse = (why: string, address: string): ProblemError => {
    refusals.note({ action: 'proxy.join', subject: 'service account token', why, address });
    return new ProblemError('ERR_SECURITY_JOIN', why);
  };
  service.post<{ Body: PodJoinRequest }>(
    PROXY_PATHS.joinPod,
    { schema: { body: PodJoinRequest } },
    async ({ body, ip }) => {
      const early = serviceAccounts.refuse(body.token);
      if (early) throw refuse(TOKEN_WORDS[early], ip);
      if ((await throttle.take(addressKey(ip))) > 0)
        throw new ProblemError('ERR_SECURITY_SLOW', 'too many pods of this address join at once');
      const vouched = await serviceAccounts.verify(body.token, new Date(wallMs()));
      if (typeof vouched === 'string') throw refuse(TOKEN_WORDS[vouched], ip);
      const request = await requestOf(body.csr);
      const proxy = await joinPod(access, vouched, keyHashOf(request.spki));
      if (!proxy) throw refuse('this pod has joined already with another key, or was revoked: a new pod may join', ip);
      return issue(request, proxy);
    },
  );
}

/** What each refusal means, in words that are ours. */
const TOKEN_WORDS: Readonly<Record<TokenRefusal, string>> = {
  form: 'this is no token of a service account',
  issuer: 'the token of the service account is of another issuer',
  audience: 'the token of the service account is not for this gateway alone',
  account: 'pods of this service account may not join',
  signature: 'the token of the service account was not signed by a key of the cluster',
  time: 'the token of the service account is over, not good yet, or good for more than an hour',
  pod: 'the token of the service account is not bound to a pod',
};

async function requestOf(csr: string): Promise<CertificateRequest> {
  try {
    return await readCertificateRequest(csr);
  } catch {
    throw new ProblemError('ERR_SECURITY_CSR', 'the certificate request is not valid');
  }
}

function bytesOf(text: string): Uint8Array {
  try {
    return parseBase64Url(text);
  } catch {
    throw new ProblemError('ERR_HTTP_INVALID', 'expected unpadded base64url');
  }
}
