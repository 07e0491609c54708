import Type, { type Static } from 'typebox';
import { BackendTrouble } from './backend-api.ts';
import { EntryHash, Epoch, Grant, RevocationEntry, RevocationKind } from './grant.ts';
import { Text } from './text.ts';

/**
 * Answers and messages between servers may hold more than this version knows: nodes and Proxies of adjacent versions
 * work together during an upgrade, so what is unknown is ignored, and what is new is optional.
 */
const OPEN = {} as const;
/** One run of one Proxy process: drawn in memory, never stored. */
const Instance = Type.String({ pattern: '^[0-9a-f]{32}$' });
const Bytes = Type.String({ pattern: '^[A-Za-z0-9_-]*$', maxLength: 100_000 });

/** For the device, sealed: a Proxy passes it on as it is. Absent in a realm of one site. */
const SealedRoutes = Type.Optional(Bytes);

/** Paths of the API between a Proxy and Security (mutual TLS, but for `join`, `joinPod` and `jwks`). */
export const PROXY_PATHS = {
  handshakes: '/v1/handshakes',
  authorise: '/v1/authorizations',
  reauthorise: '/v1/reauthorizations',
  end: '/v1/session-ends',
  siteMap: '/v1/site-map',
  control: '/v1/control',
  kept: '/v1/kept-revocations',
  challenges: '/v1/evidence-challenges',
  evidence: '/v1/evidence',
  join: '/v1/join',
  joinPod: '/v1/pod-joins',
  renew: '/v1/certificates',
  shown: '/v1/shown-certificates',
  jwks: '/v1/jwks',
} as const;

/**
 * Where pages for the first installation of an app are: at a Proxy, in front of everybody, and at Security, from which Proxies fetch them.
 * `<prefix>/spi_…` is a link, `<prefix>/spc_…/<file>` what it opened.
 */
export const INSTALL_PREFIX = '/install';

/** A handshake message of a device, base64url, and the address it came from. */
export const RelayRequest = Type.Object({ message: Bytes, address: Type.String({ maxLength: 64 }) }, OPEN);
export type RelayRequest = Static<typeof RelayRequest>;

/** Security's message for the device, and whether the handshake goes on. */
export const RelayAnswer = Type.Object({ handshake: Type.Optional(Type.String()), message: Bytes }, OPEN);
export type RelayAnswer = Static<typeof RelayAnswer>;

/** A HELLO to authorise. `request` is the Proxy's own id: a repetition with it gets the same answer at any node. */
export const AuthoriseRequest = Type.Object(
  {
    hello: Bytes,
    address: Type.String({ maxLength: 64 }),
    request: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  },
  OPEN,
);
export type AuthoriseRequest = Static<typeof AuthoriseRequest>;

/** Hash of the entry as of which a grant was read. It is not in the grant, which Proxies of the version before take with no more than they know. */
const AsOfHash = Type.Optional(EntryHash);

/** The grant with the channel key, or the hint to give the device. */
export const AuthoriseAnswer = Type.Union([
  Type.Object({ grant: Grant, asOfHash: AsOfHash, channelKey: Bytes, routes: SealedRoutes }, OPEN),
  Type.Object({ hint: Type.String(), retryAfterMs: Type.Optional(Type.Integer()) }, OPEN),
]);
export type AuthoriseAnswer = Static<typeof AuthoriseAnswer>;

/** HELLOs that came at the same time, and the answers in the same order. */
export const MAX_AUTHORIZATIONS = 64;
/** Items are checked one by one, each against `AuthoriseRequest`: what is wrong with one fails nobody else. */
export const AuthoriseBatch = Type.Object(
  { instance: Instance, requests: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_AUTHORIZATIONS }) },
  OPEN,
);
export type AuthoriseBatch = Static<typeof AuthoriseBatch>;
/** So are the answers, each against `AuthoriseAnswer`. */
export const AuthoriseAnswers = Type.Object({ answers: Type.Array(Type.Unknown()) }, OPEN);
export interface AuthoriseAnswers {
  readonly answers: readonly AuthoriseAnswer[];
}

const SessionId = Type.String({ pattern: '^[0-9a-f]{32}$' });

/** An open channel of this instance, by its session. */
export const ChannelRequest = Type.Object({ sid: SessionId, instance: Instance }, OPEN);
export type ChannelRequest = Static<typeof ChannelRequest>;

/** How many channels' rights are read by one request. */
export const MAX_RIGHTS_READ = 64;

/** The rights of an open channel of this instance are to be read again, and with them those of `others`. */
export const ReauthoriseRequest = Type.Object(
  {
    ...ChannelRequest.properties,
    others: Type.Optional(Type.Array(SessionId, { maxItems: MAX_RIGHTS_READ - 1 })),
  },
  OPEN,
);
export type ReauthoriseRequest = Static<typeof ReauthoriseRequest>;

/** Rights of one channel; `ended` says why there are none: SESSION_EXPIRED, NO_CHANNEL, or UNAVAILABLE for those that could not be told now. */
export const RightsAnswer = Type.Union([
  Type.Object({ grant: Grant, asOfHash: AsOfHash, routes: SealedRoutes }, OPEN),
  Type.Object({ ended: Type.String() }, OPEN),
]);
export type RightsAnswer = Static<typeof RightsAnswer>;

/**
 * What is said of the first channel, and in `others` of the others in the order in which they were asked for; a node of the version before
 * answers without those. Each is checked by itself against `RightsAnswer`: what is wrong with one fails nobody else.
 */
export const ReauthoriseAnswer = Type.Object({ others: Type.Optional(Type.Array(Type.Unknown())) }, OPEN);
export type ReauthoriseAnswer = RightsAnswer & { readonly others?: readonly RightsAnswer[] };

/**
 * A challenge for fresh evidence of the installation that an open channel of this instance belongs to, base64url; asked for like rights.
 * `ended` says why there is none.
 */
export const ChallengeAnswer = Type.Union([
  Type.Object({ challenge: Type.String({ pattern: '^[A-Za-z0-9_-]{1,86}$' }) }, OPEN),
  Type.Object({ ended: Type.String() }, OPEN),
]);
export type ChallengeAnswer = Static<typeof ChallengeAnswer>;

/** Evidence that a device sent on an open channel of this instance, as in a CONTEXT frame (SPEC.md, section 6). */
export const EvidenceRequest = Type.Object(
  {
    sid: Type.String({ pattern: '^[0-9a-f]{32}$' }),
    instance: Instance,
    challenge: Type.String({ pattern: '^[A-Za-z0-9_-]{1,86}$' }),
    connector: Type.String({ minLength: 1, maxLength: 32 }),
    statement: Bytes,
    proof: Type.String({ maxLength: 2_048 }),
  },
  OPEN,
);
export type EvidenceRequest = Static<typeof EvidenceRequest>;
/** What became of it; `ended` says that the session is over, or the channel is none of this instance. */
export const EvidenceAnswer = Type.Union([
  Type.Object({ taken: Type.Boolean(), fault: Type.Optional(Type.String({ maxLength: 64 })) }, OPEN),
  Type.Object({ ended: Type.String() }, OPEN),
]);
export type EvidenceAnswer = Static<typeof EvidenceAnswer>;

/** How far the database of a node is, sealed by Security for itself: nobody else reads it. */
const Witness = Type.Optional(Type.String({ pattern: '^[\\w-]+\\.[\\w-]+$', maxLength: 8_192 }));

/** A beat on the control connection. One without an epoch is fresh: the Proxy follows no log yet and has no channels. */
export const Beat = Type.Object(
  {
    type: Type.Literal('beat'),
    id: Type.Integer(),
    instance: Instance,
    epoch: Type.Optional(Epoch),
    /** In a fresh beat: the epoch that this process followed before. */
    after: Type.Optional(Epoch),
    /** Last entry that was applied, and its hash. */
    seen: Type.Integer({ minimum: 0 }),
    hash: EntryHash,
    /** Last entry that is in force: all rights that it changed are read again. */
    done: Type.Integer({ minimum: 0 }),
    channels: Type.Integer({ minimum: 0 }),
    /** What this process has served since it began: requests, and bytes of content both ways. */
    requests: Type.Optional(Type.Integer({ minimum: 0 })),
    bytes: Type.Optional(Type.Integer({ minimum: 0 })),
    /** How long the last answer of Security took, ms. */
    rttMs: Type.Optional(Type.Integer({ minimum: 0 })),
    /** The last that this Proxy was told of the database, by any node: in the first beats of a connection. */
    witness: Witness,
    /** Backends that failed in the last minute. */
    troubles: Type.Optional(Type.Array(BackendTrouble, { maxItems: 32 })),
  },
  OPEN,
);
export type Beat = Static<typeof Beat>;

const Seal = Type.String({ pattern: '^[A-Za-z0-9_-]{27}$' });
const RequestId = Type.String({ minLength: 1, maxLength: 256 });

/**
 * What a Proxy keeps beside an entry: the id of the request that made it, and a MAC of Security over both, base64url of
 * `kek u32 | tag(16)`. Only of entries that a restored database would have to hear of.
 */
export const RevocationSeal = Type.Object(
  { index: Type.Integer({ minimum: 1 }), requestId: RequestId, seal: Seal },
  OPEN,
);
export type RevocationSeal = Static<typeof RevocationSeal>;
const Seals = Type.Optional(Type.Array(RevocationSeal));

/** Answer to a beat: what the Proxy has not applied, how long it may serve, and where the Security nodes are. */
export const BeatAnswer = Type.Object(
  {
    type: Type.Literal('lease'),
    id: Type.Integer(),
    epoch: Epoch,
    head: Type.Integer({ minimum: 0 }),
    headHash: EntryHash,
    entries: Type.Array(RevocationEntry),
    seals: Seals,
    leaseMs: Type.Integer({ minimum: 1 }),
    /** Version of the site map: one that is newer than what the Proxy has is to be fetched. */
    siteMapSeq: Type.Optional(Type.Integer({ minimum: 0 })),
    /** True while the Proxy's site is being emptied: it takes no new channels, and its devices are told to move on. */
    drained: Type.Optional(Type.Boolean()),
    /** How far the database is, for the Proxy to keep; only when it is another than before. */
    witness: Witness,
    /** URLs of all Security nodes, those that live first. */
    nodes: Type.Optional(Type.Array(Type.String({ maxLength: 512 }), { maxItems: 256 })),
    /** SHA-256 of the CAs that count, as `JoinAnswer` has them, hex; only when it is another one than before on this connection. */
    authorities: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: '64 hex digits' })),
  },
  OPEN,
);
export type BeatAnswer = Static<typeof BeatAnswer>;

/** Answer to a beat whose place in the log is not in this one: the Proxy ends all channels and begins anew. */
export const BeginAnew = Type.Object(
  {
    type: Type.Literal('anew'),
    id: Type.Integer(),
    epoch: Epoch,
    /** False when the epoch of the beat is none that this one takes the place of: there are two databases. */
    supersedes: Type.Boolean(),
  },
  OPEN,
);
export type BeginAnew = Static<typeof BeginAnew>;

/** Entries after one, pushed as they are committed; only a speed-up, the beat delivers them in any case. */
export const Push = Type.Object(
  {
    type: Type.Literal('push'),
    epoch: Epoch,
    after: Type.Integer({ minimum: 0 }),
    afterHash: EntryHash,
    entries: Type.Array(RevocationEntry),
    seals: Seals,
  },
  OPEN,
);
export type Push = Static<typeof Push>;

/** What Security sends on the control connection. */
export const ControlMessage = Type.Union([BeatAnswer, BeginAnew, Push]);
export type ControlMessage = Static<typeof ControlMessage>;

/** An entry that a Proxy has applied and kept, with its epoch and its seal; without reason and actor. */
export const KeptRevocation = Type.Object(
  {
    epoch: Epoch,
    index: Type.Integer({ minimum: 1 }),
    requestId: RequestId,
    kind: RevocationKind,
    subject: Type.String({ minLength: 1, maxLength: 256 }),
    at: Type.Integer(),
    hash: EntryHash,
    seal: Seal,
  },
  OPEN,
);
export type KeptRevocation = Static<typeof KeptRevocation>;

/** What a Proxy that begins anew brings back at once, of epochs that were followed before. */
export const MAX_KEPT_AT_ONCE = 64;
export const KeptRequest = Type.Object(
  { entries: Type.Array(KeptRevocation, { minItems: 1, maxItems: MAX_KEPT_AT_ONCE }) },
  OPEN,
);
export type KeptRequest = Static<typeof KeptRequest>;
/** What became of them. Those of `foreign` epochs are for another database; all others need not be kept any more. */
export const KeptAnswer = Type.Object(
  { appended: Type.Integer(), refused: Type.Integer(), foreign: Type.Array(Epoch) },
  OPEN,
);
export type KeptAnswer = Static<typeof KeptAnswer>;

/** A new Proxy's request for its certificate. */
export const JoinRequest = Type.Object(
  { token: Type.String({ maxLength: 256 }), csr: Type.String({ maxLength: 8_192 }) },
  OPEN,
);
export type JoinRequest = Static<typeof JoinRequest>;
/** The same of a pod, by the token of its service account (JWS, compact). */
export const PodJoinRequest = Type.Object(
  { token: Type.String({ maxLength: 16_384 }), csr: Type.String({ maxLength: 8_192 }) },
  OPEN,
);
export type PodJoinRequest = Static<typeof PodJoinRequest>;
export const RenewRequest = Type.Object({ csr: Type.String({ maxLength: 8_192 }) }, OPEN);
export type RenewRequest = Static<typeof RenewRequest>;
/** The certificates that a Proxy shows, for the registry: to devices, and to Security. */
export const ShownRequest = Type.Object(
  {
    certificates: Type.Array(
      Type.Object(
        {
          place: Type.Union([Type.Literal('public'), Type.Literal('identity')]),
          chain: Type.String({ minLength: 1, maxLength: 65_536 }),
          renewedBy: Type.Union([Type.Literal('itself'), Type.Literal('files')]),
          trouble: Type.Union([Text({ maxLength: 1_024 }), Type.Null()], { description: 'one line, or null' }),
        },
        OPEN,
      ),
      { maxItems: 4 },
    ),
  },
  OPEN,
);
export type ShownRequest = Static<typeof ShownRequest>;

/** Security to a Proxy, on the control connection: renew your certificate now. */
export const RenewNow = Type.Object({ type: Type.Literal('renew') }, OPEN);

/** The certificate, the CA, and who the Proxy is. */
export const JoinAnswer = Type.Object(
  {
    certificate: Type.String(),
    ca: Type.String(),
    realm: Type.String(),
    site: Type.String(),
    name: Type.String(),
    nodes: Type.Optional(Type.Array(Type.String({ maxLength: 512 }), { maxItems: 256 })),
  },
  OPEN,
);
export type JoinAnswer = Static<typeof JoinAnswer>;

/** The `seq` that the Proxy has heard of: an older map that a node still keeps is not what it wants. */
export const SiteMapQuery = Type.Object(
  { seq: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$', description: 'a whole number' })) },
  OPEN,
);
export type SiteMapQuery = Static<typeof SiteMapQuery>;

/** The signed site map: JWS by the realm's root key. */
export const SiteMapAnswer = Type.Object({ siteMap: Type.String(), rootKey: Type.String() }, OPEN);
export type SiteMapAnswer = Static<typeof SiteMapAnswer>;
