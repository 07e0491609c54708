import Type, { type Static } from 'typebox';
import { Text } from './text.ts';

const CLOSED = { additionalProperties: false } as const;
const Time = Type.Integer({ description: 'epoch ms' });
const Line = Text({ minLength: 1, maxLength: 512 });
const Pem = Type.String({ maxLength: 65_536 });
const HttpsUrl = Type.String({
  pattern: '^https://[^\\s#@]+$',
  description: 'an https:// URL without a user name or fragment',
  maxLength: 512,
});

/** What every directory may say of how its names become names of the realm, and which groups an operator mapped. */
const COMMON = {
  /** Behind every user name, so that two directories do not want the same one. */
  suffix: Type.Optional(
    Type.String({
      pattern: '^[.@_-]?[a-z0-9][a-z0-9._-]{0,30}[a-z0-9]$',
      description: 'a suffix of 2 to 33 letters a-z, digits and . _ -',
    }),
  ),
  /** Groups of the realm by the subjects of the directory's groups. */
  groups: Type.Optional(Type.Record(Type.String({ maxLength: 256 }), Type.String({ maxLength: 64 }))),
};

/** LDAP or Active Directory. `ldap://` always means StartTLS: there is no way without TLS. */
export const LdapSettings = Type.Object(
  {
    ...COMMON,
    servers: Type.Array(
      Type.String({
        pattern: '^ldaps?://[^/?#@\\s]+$',
        description: 'a server like ldaps://dc1.corp:636, without a path',
        maxLength: 255,
      }),
      {
        minItems: 1,
        maxItems: 8,
      },
    ),
    ca: Type.Optional(Pem),
    flavour: Type.Union([Type.Literal('ad'), Type.Literal('standard')]),
    bindDn: Line,
    base: Line,
    groupBase: Type.Optional(Line),
    userFilter: Type.Optional(Line),
    groupFilter: Type.Optional(Line),
    /** LDAP attributes where they are not the usual ones. */
    attributes: Type.Optional(
      Type.Partial(
        Type.Object({ id: Line, login: Line, displayName: Line, version: Line, member: Line }, CLOSED),
        CLOSED,
      ),
    ),
    /** Further attributes to keep, by the name that a migration matches them by. */
    keep: Type.Optional(
      Type.Record(
        Type.String({
          pattern: '^[A-Za-z][A-Za-z0-9]{0,63}$',
          description: 'a name of up to 64 letters and digits, beginning with a letter',
        }),
        Line,
      ),
    ),
    syncEveryMs: Type.Optional(Type.Integer({ minimum: 1_000, maximum: 86_400_000 })),
    fullEveryMs: Type.Optional(Type.Integer({ minimum: 60_000, maximum: 7 * 86_400_000 })),
  },
  { ...CLOSED, $id: 'LdapSettings' },
);
export type LdapSettings = Static<typeof LdapSettings>;

/** An OpenID provider (OpenID Connect Core 1.0). */
export const OidcSettings = Type.Object(
  {
    ...COMMON,
    issuer: HttpsUrl,
    ca: Type.Optional(Pem),
    clientId: Line,
    scope: Type.Optional(Line),
    /** Where the provider may send devices back to; exact. */
    redirects: Type.Array(
      Type.String({
        pattern: '^[a-z][a-z0-9+.-]*:[^\\s#]+$',
        description: 'a redirect URI without a fragment',
        maxLength: 255,
      }),
      {
        minItems: 1,
        maxItems: 16,
      },
    ),
    /** Entra ID: the one tenant whose users may come (claim `tid`). */
    tenant: Type.Optional(Line),
    /** Claim that names the user for ever; `sub` unless the provider has a better one, like Entra ID's `oid`. */
    subjectClaim: Type.Optional(Line),
    /** The directory that pushes the accounts of this provider: its externalId is the subject here. */
    accounts: Type.Optional(Line),
    groupsClaim: Type.Optional(Line),
    /** Where groups are asked for when there are too many for a token; Entra ID: Microsoft Graph's getMemberObjects. */
    groupsEndpoint: Type.Optional(HttpsUrl),
    /** Levels one of which the provider must confirm (claim `acr`), and methods that must all be in `amr`. */
    acr: Type.Optional(Type.Array(Line, { minItems: 1, maxItems: 8 })),
    amr: Type.Optional(Type.Array(Line, { minItems: 1, maxItems: 8 })),
    /** Groups of the directory, by subject, whose members may be operators. Absent: nobody by this provider. */
    operatorGroups: Type.Optional(Type.Array(Line, { minItems: 1, maxItems: 16 })),
  },
  { ...CLOSED, $id: 'OidcSettings' },
);
export type OidcSettings = Static<typeof OidcSettings>;

/** A SCIM 2.0 client pushes accounts and groups; how its users sign in is another directory's matter. */
const ScimSettings = Type.Object({ ...COMMON }, { ...CLOSED, $id: 'ScimSettings' });

const Stage = Type.Union([Type.Literal('staged'), Type.Literal('active')]);
const Secret = Type.String({ minLength: 1, maxLength: 1_024 });

/** A directory as an operator writes it. Secrets that are absent stay as they are; none is ever given back. */
export const DirectoryInput = Type.Union(
  [
    Type.Object(
      {
        kind: Type.Literal('ldap'),
        stage: Stage,
        settings: LdapSettings,
        secrets: Type.Optional(Type.Object({ bindPassword: Secret }, CLOSED)),
      },
      CLOSED,
    ),
    Type.Object(
      {
        kind: Type.Literal('oidc'),
        stage: Stage,
        settings: OidcSettings,
        secrets: Type.Optional(Type.Object({ clientSecret: Secret }, CLOSED)),
      },
      CLOSED,
    ),
    Type.Object({ kind: Type.Literal('scim'), stage: Stage, settings: ScimSettings }, CLOSED),
  ],
  { $id: 'DirectoryInput' },
);
export type DirectoryInput = Static<typeof DirectoryInput>;

/** Removals that a sync holds until an operator says that they are meant. */
export const SyncQuestion = Type.Object(
  {
    id: Type.String(),
    what: Type.Union([Type.Literal('users'), Type.Literal('memberships')]),
    count: Type.Integer(),
    of: Type.Integer(),
    sample: Type.Array(Type.String()),
    at: Time,
  },
  CLOSED,
);
export type SyncQuestion = Static<typeof SyncQuestion>;

/** How far a sync is. */
export const SyncProgress = Type.Object(
  { phase: Type.String(), done: Type.Integer(), total: Type.Optional(Type.Integer()) },
  CLOSED,
);
export type SyncProgress = Static<typeof SyncProgress>;

/** What a sync did. */
export const SyncReport = Type.Object(
  {
    mode: Type.Union([Type.Literal('full'), Type.Literal('incremental')]),
    at: Time,
    tookMs: Type.Integer(),
    server: Type.String(),
    read: Type.Integer(),
    created: Type.Integer(),
    changed: Type.Integer(),
    enabled: Type.Integer(),
    disabled: Type.Integer(),
    removed: Type.Integer(),
    groups: Type.Integer(),
    joined: Type.Integer(),
    left: Type.Integer(),
    held: Type.Integer(),
    /** Entries that fit the filters, but have no id or no login that may be read. */
    unreadable: Type.Optional(Type.Integer()),
  },
  CLOSED,
);
export type SyncReport = Static<typeof SyncReport>;

/** An account that could not become a user. */
const AccountConflictView = Type.Object({ subject: Type.String(), login: Type.String(), why: Type.String() }, CLOSED);

/** A directory and how it is. */
export const DirectoryView = Type.Object(
  {
    name: Type.String(),
    kind: Type.String(),
    stage: Stage,
    settings: Type.Unknown(),
    createdAt: Time,
    accounts: Type.Integer(),
    users: Type.Integer(),
    groups: Type.Integer(),
    running: Type.Boolean(),
    progress: Type.Union([SyncProgress, Type.Null()]),
    report: Type.Union([SyncReport, Type.Null()]),
    question: Type.Union([SyncQuestion, Type.Null()]),
    /** Why it does not work now, in words; null when it does. */
    trouble: Type.Union([Type.String(), Type.Null()]),
    troubleSince: Type.Union([Time, Type.Null()]),
    conflicts: Type.Array(AccountConflictView),
  },
  { ...CLOSED, $id: 'Directory' },
);
export type DirectoryView = Static<typeof DirectoryView>;

/** One check of `test connection`. */
export const FindingView = Type.Object(
  { check: Type.String(), ok: Type.Boolean(), words: Type.String() },
  { ...CLOSED, $id: 'Finding' },
);
export type FindingView = Static<typeof FindingView>;

export const SyncInput = Type.Object(
  {
    mode: Type.Optional(Type.Union([Type.Literal('full'), Type.Literal('incremental')])),
    /** Id of the question that is answered with yes. */
    confirm: Type.Optional(Type.String({ maxLength: 64 })),
  },
  { ...CLOSED, $id: 'SyncInput' },
);
export type SyncInput = Static<typeof SyncInput>;

export const DirectoryTokenInput = Type.Object(
  {
    ttlMs: Type.Optional(Type.Integer({ minimum: 60_000, maximum: 730 * 86_400_000 })),
    /** End the tokens before it now, rather than after a week. */
    endOthers: Type.Optional(Type.Boolean()),
  },
  { ...CLOSED, $id: 'DirectoryTokenInput' },
);
export type DirectoryTokenInput = Static<typeof DirectoryTokenInput>;

export const DirectoryTokenView = Type.Object(
  { id: Type.String(), token: Type.String(), expiresAt: Time, url: Type.String() },
  { ...CLOSED, $id: 'DirectoryToken' },
);
export type DirectoryTokenView = Static<typeof DirectoryTokenView>;

export const DirectoryGroupView = Type.Object(
  { subject: Type.String(), name: Type.String(), group: Type.String(), accounts: Type.Integer() },
  { ...CLOSED, $id: 'DirectoryGroup' },
);
export type DirectoryGroupView = Static<typeof DirectoryGroupView>;

export const GroupMapInput = Type.Object(
  { subject: Type.String({ minLength: 1, maxLength: 256 }), group: Type.String({ minLength: 1, maxLength: 64 }) },
  { ...CLOSED, $id: 'GroupMapInput' },
);
export type GroupMapInput = Static<typeof GroupMapInput>;

export const MigrationInput = Type.Object(
  {
    from: Line,
    to: Line,
    match: Type.Tuple([Line, Line]),
    apply: Type.Boolean(),
    /** Users whose rights would change may move. */
    acceptRights: Type.Optional(Type.Boolean()),
  },
  { ...CLOSED, $id: 'MigrationInput' },
);
export type MigrationInput = Static<typeof MigrationInput>;

export const MigrationView = Type.Object(
  {
    applied: Type.Boolean(),
    users: Type.Integer(),
    moves: Type.Array(Type.Object({ user: Type.String(), from: Type.String(), to: Type.String() }, CLOSED)),
    conflicts: Type.Array(Type.Object({ user: Type.String(), why: Type.String() }, CLOSED)),
    newcomers: Type.Integer(),
    rights: Type.Array(
      Type.Object({ user: Type.String(), lost: Type.Array(Type.String()), gained: Type.Array(Type.String()) }, CLOSED),
    ),
  },
  { ...CLOSED, $id: 'Migration' },
);
export type MigrationView = Static<typeof MigrationView>;

/** Why a user may, or may not, reach each resource. */
export const RightsView = Type.Object(
  {
    user: Type.String(),
    enabled: Type.Boolean(),
    directory: Type.String(),
    groups: Type.Array(Type.Object({ group: Type.String(), by: Type.String() }, CLOSED)),
    resources: Type.Array(
      Type.Object(
        {
          resource: Type.String(),
          allowed: Type.Boolean(),
          words: Type.String(),
          policies: Type.Array(
            Type.Object({ policy: Type.String(), groups: Type.Array(Type.String()), only: Type.String() }, CLOSED),
          ),
        },
        CLOSED,
      ),
    ),
  },
  { ...CLOSED, $id: 'Rights' },
);
export type RightsView = Static<typeof RightsView>;

/** A new second factor; its secret is shown once. */
export const FactorView = Type.Object(
  { user: Type.String(), uri: Type.String(), secret: Type.String() },
  { ...CLOSED, $id: 'Factor' },
);
export type FactorView = Static<typeof FactorView>;

/** What an operator's command needs to sign in at a provider (RFC 7636, RFC 8252). */
export const OperatorProvider = Type.Object(
  {
    issuer: Type.String(),
    authorizationEndpoint: Type.String(),
    clientId: Type.String(),
    scope: Type.String(),
    acr: Type.Optional(Type.Array(Type.String())),
  },
  { ...CLOSED, $id: 'OperatorProvider' },
);
export type OperatorProvider = Static<typeof OperatorProvider>;

export const OperatorOidcLogin = Type.Object(
  {
    directory: Line,
    code: Type.String({ minLength: 1, maxLength: 4_096 }),
    verifier: Type.String({
      pattern: '^[A-Za-z0-9._~-]{43,128}$',
      description: 'a PKCE verifier of 43 to 128 characters',
    }),
    redirect: Type.String({ pattern: '^http://127\\.0\\.0\\.1:[0-9]{1,5}/$', description: 'http://127.0.0.1:<port>/' }),
    /** The issuer as the provider put it into its answer (RFC 9207); absent when it put none. */
    issuer: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
  },
  { ...CLOSED, $id: 'OperatorOidcLogin' },
);
export type OperatorOidcLogin = Static<typeof OperatorOidcLogin>;
