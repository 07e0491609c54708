import Type, { type Static, type TInteger, type TString } from 'typebox';
import { CLOSED, CountryCode, formed, NetworkText } from './fields.ts';

const Name = Type.String({ minLength: 1, maxLength: 128 });

/** A version of an app or a system: numbers with dots. */
export function Version(about?: string): TString {
  return Type.String({
    pattern: '^[0-9]+(\\.[0-9]+)*$',
    ...formed('a version of numbers with dots, like 1.4.2', about),
  });
}

/** A system that an app runs on. */
export const AppPlatform = Type.Object(
  { os: Name, minOsVersion: Type.Optional(Version('lowest version of the system')) },
  CLOSED,
);
export type AppPlatform = Static<typeof AppPlatform>;

/** SHA-256 of certificates that sign an app. */
export function Signers(about: string) {
  return Type.Array(
    Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'a SHA-256 as 64 hexadecimal digits in lower case',
    }),
    { maxItems: 16, description: about },
  );
}
/**
 * How strong evidence is, the weakest first: `software` is the app's own word and serves development; `platform` is the word of who makes
 * the system; `hardware` that of a chip of the device.
 */
export const EVIDENCE_LEVELS: readonly EvidenceLevel[] = ['software', 'platform', 'hardware'];
export const EvidenceLevel = Type.Union(
  [Type.Literal('software'), Type.Literal('platform'), Type.Literal('hardware')],
  { description: 'software, platform or hardware' },
);
export type EvidenceLevel = Static<typeof EvidenceLevel>;

/** Evidence that is demanded: how old it may be, and how strong it must be. */
export const AttestedRule = Type.Object(
  {
    withinMs: Type.Integer({
      minimum: 60_000,
      maximum: 2_592_000_000,
      ...formed('ms, from a minute to 30 days', 'how old evidence may be'),
    }),
    level: EvidenceLevel,
  },
  { ...CLOSED, description: 'the app must prove what it is: evidence that is not older than that, nor weaker' },
);
export type AttestedRule = Static<typeof AttestedRule>;

/** What evidence has proved of app, system and device; absent: it says nothing of it. Each takes the place of what the device claims. */
export const ProvenFacts = Type.Object(
  {
    id: Type.Optional(Name),
    /** SHA-256 of certificates that signed the app, hex. */
    signers: Type.Optional(Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' }), { maxItems: 64 })),
    build: Type.Optional(Type.String({ maxLength: 32 })),
    os: Type.Optional(Type.String({ maxLength: 32 })),
    osVersion: Type.Optional(Type.String({ maxLength: 64 })),
    osPatch: Type.Optional(Type.String({ maxLength: 64 })),
    model: Type.Optional(Type.String({ maxLength: 128 })),
    posture: Type.Optional(
      Type.Object({ rooted: Type.Optional(Type.Boolean()), emulator: Type.Optional(Type.Boolean()) }, CLOSED),
    ),
  },
  CLOSED,
);
export type ProvenFacts = Static<typeof ProvenFacts>;

/**
 * The age of evidence that fulfils no rule any more, ms: more than any rule may ask for. What it once proved still takes the place of claims.
 */
export const SPENT_EVIDENCE_MS = 315_360_000_000;

/** The newest evidence of an installation, as Security found it. */
export const EvidenceVerdict = Type.Object(
  {
    connector: Name,
    level: EvidenceLevel,
    /** Age at the moment of the answer, ms. */
    ageMs: Type.Integer({ minimum: 0 }),
    facts: ProvenFacts,
  },
  CLOSED,
);
export type EvidenceVerdict = Static<typeof EvidenceVerdict>;

/** So many versions of an app are named in a grant; of more that are revoked the lowest are one. */
export const MAX_BLOCKED_VERSIONS = 256;

/** What must hold of an app context. All that is given must fit; an unknown posture fact never fits. */
export const ContextRule = Type.Object(
  {
    apps: Type.Optional(
      Type.Array(
        Type.Object(
          {
            id: Name,
            signers: Type.Optional(Signers('SHA-256 of allowed signer certificates; absent: any signer')),
            minVersion: Type.Optional(Version('lowest allowed version')),
            notVersions: Type.Optional(
              Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
                maxItems: MAX_BLOCKED_VERSIONS,
                description: 'versions that are not allowed, as apps say them',
              }),
            ),
            notBelow: Type.Optional(
              Version(
                'every version below it is not allowed either, and gets no update: of more versions than can be named',
              ),
            ),
            platforms: Type.Optional(
              Type.Array(AppPlatform, { maxItems: 16, description: 'systems that it may run on; absent: any' }),
            ),
          },
          CLOSED,
        ),
        { maxItems: 64 },
      ),
    ),
    os: Type.Optional(Type.Array(Name, { maxItems: 16 })),
    minOsVersion: Type.Optional(Version()),
    minOsPatch: Type.Optional(
      Type.String({
        pattern: '^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$',
        ...formed('a month or a day, like 2026-11 or 2026-11-05', 'oldest security patch of the system'),
      }),
    ),
    attested: Type.Optional(AttestedRule),
    posture: Type.Optional(
      Type.Object(
        {
          rooted: Type.Optional(Type.Boolean()),
          debugger: Type.Optional(Type.Boolean()),
          emulator: Type.Optional(Type.Boolean()),
          lockScreen: Type.Optional(Type.Boolean()),
          encrypted: Type.Optional(Type.Boolean()),
          managed: Type.Optional(Type.Boolean()),
        },
        CLOSED,
      ),
    ),
  },
  CLOSED,
);
export type ContextRule = Static<typeof ContextRule>;

/** Methods that a policy allows: any token (RFC 9110, section 9.1). */
export const Methods = Type.Array(
  Type.String({ pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$", description: 'a method, like GET or PROPFIND' }),
  { maxItems: 64 },
);

/** Prefixes of paths that a policy allows. */
export const Paths = Type.Array(
  Type.String({ pattern: '^/', maxLength: 1024, description: 'a path that begins with /' }),
  { maxItems: 64 },
);

/** One way in which a policy opens a resource. */
export const AccessRule = Type.Object(
  {
    policy: Name,
    context: ContextRule,
    /** Allowed methods; absent: the default list of the protocol. */
    methods: Type.Optional(Methods),
    /** Allowed path prefixes, each ending at a slash or the end; absent: all. */
    paths: Type.Optional(Paths),
    /** Networks that the device's address must lie in, as the Proxy sees it; absent: any. */
    networks: Type.Optional(Type.Array(NetworkText, { minItems: 1, maxItems: 64 })),
    /** Networks that it must not lie in. */
    notNetworks: Type.Optional(Type.Array(NetworkText, { minItems: 1, maxItems: 64 })),
    /** Countries in one of which that address must lie, by the file of the Proxy; absent: any. */
    countries: Type.Optional(Type.Array(CountryCode, { minItems: 1, maxItems: 256 })),
    /** Countries in which it must not lie. */
    notCountries: Type.Optional(Type.Array(CountryCode, { minItems: 1, maxItems: 256 })),
  },
  CLOSED,
);
export type AccessRule = Static<typeof AccessRule>;

function MessageBytes(about: string): TInteger {
  return Type.Integer({ minimum: 1, maximum: 268_435_456, ...formed('bytes, up to 256 MiB', about) });
}

function LimitMs(about: string): TInteger {
  return Type.Integer({ minimum: 1, maximum: 86_400_000, ...formed('ms, up to a day', about) });
}

/** Time limits of one resource, ms; what is not named is as usual (`apps/proxy/src/backend/time-limits.ts`). */
export const Timeouts = Type.Object(
  {
    connectMs: Type.Optional(LimitMs('until a connection stands, TLS included')),
    answerMs: Type.Optional(
      LimitMs("until the head of an answer comes, once the request is out; a WebSocket's handshake, too"),
    ),
    idleMs: Type.Optional(
      LimitMs(
        'for how long nothing may move: content either way, a WebSocket, a TCP connection; there is no limit in all',
      ),
    ),
  },
  CLOSED,
);
export type Timeouts = Static<typeof Timeouts>;

const AUTHORITY_WORDS =
  'a host in lower case with an optional port, like wiki.corp, db.corp:5432 or [fd00::1]:80, or a wildcard like *.corp';

function Authority(about?: string): TString {
  return Type.String({
    pattern: '^(\\*\\.)?([a-z0-9_]([a-z0-9._-]*[a-z0-9_])?\\.?|\\[[0-9a-f:.]{2,45}\\])(:[1-9][0-9]{0,4})?$',
    maxLength: 255,
    ...formed(AUTHORITY_WORDS, about),
  });
}

/** A host with an optional port, or all hosts under a name. Stored and compared in one form: see `canonicalAuthority`. */
export const AuthorityText = Authority();

/** `http://host[:port]`, `https://host[:port]` or `tcp://host:port`. */
function BackendUrl(about?: string): TString {
  return Type.String({
    pattern: '^(https?|tcp)://[^/?#@]+$',
    maxLength: 512,
    ...formed('a URL like http://host:port, https://… or tcp://…, without a path, query or user name', about),
  });
}

/** Share of the sessions that a server gets, beside those of the others; 1 unless said otherwise. */
const Weight = Type.Integer({ minimum: 1, maximum: 100, description: 'a weight from 1 to 100' });

/** Where a resource really is. Only a Proxy of the realm ever sees it. */
export const Backend = Type.Object(
  {
    url: BackendUrl(
      'of a wildcard it may hold one `*`, which stands for what the `*` of the authority does, like https://*.apps.internal',
    ),
    weight: Type.Optional(Weight),
    servers: Type.Optional(
      Type.Array(
        Type.Object(
          { url: BackendUrl(), weight: Type.Optional(Weight), standby: Type.Optional(Type.Boolean()) },
          CLOSED,
        ),
        {
          minItems: 1,
          maxItems: 31,
          description:
            'further servers that answer the same, by the same scheme. Requests go to them in turns; one on standby gets some when none of the others is well',
        },
      ),
    ),
    sticky: Type.Optional(
      Type.Boolean({
        description:
          "a user's requests go to one server while it is well, whatever the Proxy: for applications that keep sessions in memory",
      }),
    ),
    health: Type.Optional(
      Type.Object(
        {
          path: Type.String({
            pattern: '^/[\\x21-\\x7e]*$',
            maxLength: 1024,
            description: 'a path that begins with /, without spaces',
          }),
          everyMs: Type.Optional(Type.Integer({ minimum: 1_000, maximum: 3_600_000 })),
        },
        {
          ...CLOSED,
          description:
            'Proxies ask each server in use for this path, which is well when it answers 2xx or 3xx; about every 10 s',
        },
      ),
    ),
    http: Type.Optional(
      Type.Union([Type.Literal('1.1'), Type.Literal('2'), Type.Literal('auto')], {
        description:
          'what is spoken with it: HTTP/1.1 unless said otherwise; `auto` lets an https server choose HTTP/2. gRPC needs `2`',
      }),
    ),
    networks: Type.Array(Type.String({ maxLength: 64 }), {
      maxItems: 32,
      description:
        'networks (CIDR) this backend may lie in beyond the public ones: loopback and private ones must be named',
    }),
    ca: Type.Optional(
      Type.String({ maxLength: 65_536, description: "PEM of the CA of an https backend; absent: the system's" }),
    ),
    readsContent: Type.Optional(
      Type.Boolean({
        description:
          'it reads, or throws away, the content of every request, whatever the method and its answer. Then any method may have content, and a connection that carried some is used again',
      }),
    ),
    xForwarded: Type.Optional(
      Type.Boolean({ description: 'it wants to be told by X-Forwarded-For, -Host and -Proto, too' }),
    ),
    publicScheme: Type.Optional(
      Type.Union([Type.Literal('http'), Type.Literal('https')], {
        description:
          "the scheme in its users' address bars, which the backend is told and redirects are mapped to; absent: the one that each device says",
      }),
    ),
    passFields: Type.Optional(
      Type.Array(
        Type.String({ pattern: '^[a-z0-9-]{1,64}$', description: 'the name of a header field in lower case' }),
        {
          maxItems: 32,
          description: 'fields a device may send to it although backends take them from a proxy in front of them',
        },
      ),
    ),
    webSocketMessageBytes: Type.Optional(
      MessageBytes('the largest message of a WebSocket, either way; absent: what the realm says'),
    ),
    timeouts: Type.Optional(Timeouts),
    prefix: Type.Optional(
      Type.String({
        pattern: "^(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+$",
        maxLength: 1024,
        ...formed(
          'a path like /app, without a slash at its end',
          'stands in front of every path on its way to the backend. Path rules are about what devices ask for, without it',
        ),
      }),
    ),
    host: Type.Optional(Authority('host that the backend is told; absent: the name that was asked for')),
    clientCertificate: Type.Optional(
      Type.Object(
        {
          certificate: Type.String({ maxLength: 65_536 }),
          key: Type.Optional(Type.String({ minLength: 1, maxLength: 16_384 })),
        },
        {
          ...CLOSED,
          description:
            'certificate chain with which Proxies show an https backend who they are, PEM. The key is in grants, and never shown',
        },
      ),
    ),
    basic: Type.Optional(
      Type.Object(
        {
          user: Type.String({
            pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f:]+$',
            maxLength: 256,
            description: 'a user name without colon',
          }),
          password: Type.Optional(
            Type.String({
              pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]+$',
              maxLength: 1024,
              description: 'a password without control characters',
            }),
          ),
        },
        {
          ...CLOSED,
          description:
            'credentials by which the backend knows the gateway (RFC 7617). The password is in grants, and never shown',
        },
      ),
    ),
    paths: Type.Optional(
      Type.Union(
        [Type.Literal('strict'), Type.Literal('exact')],
        formed(
          'strict or exact',
          'how it takes paths. `strict`, which is also what absence means: by one canonical grammar. `exact`: whatever RFC 3986 allows, as it came, while path rules hold in every way in which it may be read',
        ),
      ),
    ),
    fields: Type.Optional(
      Type.Object(
        {
          count: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, description: '1 to 200 fields' })),
          bytes: Type.Optional(Type.Integer({ minimum: 256, maximum: 65_536, description: '256 to 65536 bytes' })),
        },
        {
          ...CLOSED,
          description:
            'limits for the heads of requests and responses: how many fields there may be, and how long a value, or a path with its query, may be. What is not named is as usual (100, and 8,192 bytes). All fields of a head together may then have 1 MiB, and not 32 KiB',
        },
      ),
    ),
    delegate: Type.Optional(
      Type.Object(
        { directory: Name, audience: Type.String({ minLength: 1, maxLength: 512 }) },
        {
          ...CLOSED,
          description:
            "the backend wants a token that the user's OpenID provider gives in exchange (RFC 8693), for this audience",
        },
      ),
    ),
  },
  CLOSED,
);
export type Backend = Static<typeof Backend>;

/** How long a token is that a provider gives for a backend, at most. */
export const MAX_DELEGATED_CHARACTERS = 16_384;

/** A resource that a session may reach, with everything a Proxy needs to open it. */
export const ResourceGrant = Type.Object(
  {
    name: Name,
    kind: Type.Union([Type.Literal('http'), Type.Literal('tcp')]),
    /** What a device writes in its URL; a key into this table. `*.corp` stands for all names under `corp`. */
    authority: AuthorityText,
    /** Names under the wildcard that belong to other resources, nearer ones, whether this session may reach them or not. */
    except: Type.Optional(Type.Array(AuthorityText, { maxItems: 4_096 })),
    /** What people call it, when that is not its name. */
    title: Type.Optional(Type.String({ maxLength: 128 })),
    backend: Backend,
    rules: Type.Array(AccessRule),
    /** JWT for the backend: who the user is. Absent for TCP. */
    assertion: Type.Optional(Type.String()),
    /** Token of the user's provider for this backend: goes into Authorization. */
    delegated: Type.Optional(Type.String({ maxLength: MAX_DELEGATED_CHARACTERS })),
  },
  CLOSED,
);
export type ResourceGrant = Static<typeof ResourceGrant>;

/** Limits of a channel that a realm may set. */
const GrantLimits = Type.Object(
  {
    openBurst: Type.Integer({ minimum: 1 }),
    openRate: Type.Integer({ minimum: 1 }),
    /** Channels at one Proxy of a session, of an installation and of a user. */
    channelsPerSession: Type.Optional(Type.Integer({ minimum: 1 })),
    channelsPerInstallation: Type.Optional(Type.Integer({ minimum: 1 })),
    channelsPerUser: Type.Optional(Type.Integer({ minimum: 1 })),
    webSocketMessageBytes: Type.Optional(MessageBytes('the largest message of a WebSocket; absent: 16 MiB')),
  },
  CLOSED,
);

/** An epoch of the revocation log: 32 random hex digits. */
export const Epoch = Type.String({ pattern: '^[0-9a-f]{32}$' });

/** What Security lets one channel do, and whose it is. */
export const Grant = Type.Object(
  {
    realm: Name,
    sid: Type.String({ pattern: '^[0-9a-f]{32}$' }),
    /** Epoch of the revocation log, and its index at which this was read. */
    epoch: Epoch,
    asOf: Type.Integer({ minimum: 0 }),
    /** Ms until the session ends, from the answer on. */
    expiresInMs: Type.Integer({ minimum: 0 }),
    /** Ms until the assertions must be fetched anew. */
    refreshInMs: Type.Integer({ minimum: 0 }),
    sessionCreatedAt: Type.Integer(),
    /** Generation of the realm at the sign-in. */
    generation: Type.Integer({ minimum: 0 }),
    /** `id@version` of the app that signed in: what a device claims later changes nothing of it. */
    app: Type.String({ maxLength: 512 }),
    userId: Name,
    userName: Name,
    groups: Type.Array(Name),
    installationId: Name,
    /** What every channel of the realm must fulfil, whatever the resource. */
    context: ContextRule,
    resources: Type.Array(ResourceGrant),
    limits: GrantLimits,
    /** Only where a rule demands evidence, and there is some. */
    verdict: Type.Optional(EvidenceVerdict),
  },
  CLOSED,
);
export type Grant = Static<typeof Grant>;

/** SHA-256 of an entry of the log, hex; empty for the start of the log. */
export const EntryHash = Type.String({ pattern: '^([0-9a-f]{64})?$' });

/** What ends or changes rights. `rights` entries make Proxies authorise again, the others end channels. */
export const RevocationKind = Type.Union([
  Type.Literal('session'),
  Type.Literal('installation'),
  Type.Literal('user'),
  Type.Literal('credentials'),
  Type.Literal('app'),
  Type.Literal('before'),
  Type.Literal('generation'),
  Type.Literal('lift'),
  Type.Literal('proxy'),
  Type.Literal('rights'),
]);
export type RevocationKind = Static<typeof RevocationKind>;

/** One entry of the revocation log; indexes are contiguous and in commit order. */
export const RevocationEntry = Type.Object(
  {
    index: Type.Integer({ minimum: 1 }),
    kind: RevocationKind,
    /** Session id, installation id, user id (also of credentials), `app@version` (also of a lift), epoch ms, a generation, or for `rights` a user id or `*`. */
    subject: Type.String({ minLength: 1, maxLength: 256 }),
    at: Type.Integer(),
    /** Random, so that two logs differ wherever they were written apart. */
    salt: Type.String({ pattern: '^[0-9a-f]{32}$' }),
    /** Hash over the hash of the entry before, the content and the salt. */
    hash: EntryHash,
  },
  CLOSED,
);
export type RevocationEntry = Static<typeof RevocationEntry>;
