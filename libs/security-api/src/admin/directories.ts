import Type, { type Static } from 'typebox';
import { CLOSED, formed, Line, OptionalText, OptionalTime, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery, SubjectQuery } from './paging.ts';
import { Done, NameParam } from './params.ts';

const Pem = Type.String({ maxLength: 65_536 });

function HttpsUrl(about?: string) {
  return Type.String({
    pattern: '^https://[^\\s#@]+$',
    maxLength: 512,
    ...formed('an https:// URL without a user name or fragment', about),
  });
}

/** What every directory may say of how its names become names of the realm, and which groups an operator mapped. */
const COMMON = {
  suffix: Type.Optional(
    Type.String({
      pattern: '^[.@_-]?[a-z0-9][a-z0-9._-]{0,30}[a-z0-9]$',
      ...formed(
        'a suffix of 2 to 33 letters a-z, digits and . _ -',
        'behind every user name, so that two directories do not want the same one',
      ),
    }),
  ),
  groups: Type.Optional(
    Type.Record(Type.String({ maxLength: 256 }), Type.String({ maxLength: 64 }), {
      description: "groups of the realm by the subjects of the directory's groups",
    }),
  ),
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
    bindDn: Line(),
    base: Line(),
    groupBase: Type.Optional(Line()),
    userFilter: Type.Optional(Line()),
    groupFilter: Type.Optional(Line()),
    attributes: Type.Optional(
      Type.Partial(
        Type.Object({ id: Line(), login: Line(), displayName: Line(), version: Line(), member: Line() }, CLOSED),
        { ...CLOSED, description: 'LDAP attributes where they are not the usual ones' },
      ),
    ),
    keep: Type.Optional(
      Type.Record(
        Type.String({
          pattern: '^[A-Za-z][A-Za-z0-9]{0,63}$',
          description: 'a name of up to 64 letters and digits, beginning with a letter',
        }),
        Line(),
        { description: 'further attributes to keep, by the name that a migration matches them by' },
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
    issuer: HttpsUrl(),
    ca: Type.Optional(Pem),
    clientId: Line(),
    scope: Type.Optional(Line()),
    redirects: Type.Array(
      Type.String({
        pattern: '^[a-z][a-z0-9+.-]*:[^\\s#]+$',
        ...formed('a redirect URI without a fragment', 'where the provider may send devices back to; exact'),
        maxLength: 255,
      }),
      {
        minItems: 1,
        maxItems: 16,
      },
    ),
    tenant: Type.Optional(Line('Entra ID: the one tenant whose users may come (claim `tid`)')),
    subjectClaim: Type.Optional(
      Line("claim that names the user for ever; `sub` unless the provider has a better one, like Entra ID's `oid`"),
    ),
    accounts: Type.Optional(
      Line('the directory that pushes the accounts of this provider: its externalId is the subject here'),
    ),
    groupsClaim: Type.Optional(Line()),
    groupsEndpoint: Type.Optional(
      HttpsUrl("where groups are asked for when there are too many for a token; Entra ID: Graph's getMemberObjects"),
    ),
    acr: Type.Optional(
      Type.Array(Line(), {
        minItems: 1,
        maxItems: 8,
        description: 'levels one of which the provider must confirm (claim `acr`)',
      }),
    ),
    amr: Type.Optional(
      Type.Array(Line(), { minItems: 1, maxItems: 8, description: 'methods that must all be in the claim `amr`' }),
    ),
    operatorGroups: Type.Optional(
      Type.Array(Line(), {
        minItems: 1,
        maxItems: 16,
        description:
          'groups of the directory, by subject, whose members may be operators; absent: nobody by this provider',
      }),
    ),
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
    at: Time(),
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
    at: Time(),
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
    unreadable: Type.Optional(
      Type.Integer({ description: 'entries that fit the filters, but have no id or no login that may be read' }),
    ),
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
    createdAt: Time(),
    accounts: Type.Integer(),
    users: Type.Integer(),
    groups: Type.Integer(),
    running: Type.Boolean(),
    progress: Type.Union([SyncProgress, Type.Null()]),
    report: Type.Union([SyncReport, Type.Null()]),
    question: Type.Union([SyncQuestion, Type.Null()]),
    trouble: OptionalText('why it does not work now, in words; null when it does'),
    troubleSince: OptionalTime(),
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

/** How a sync is started. */
export const SyncInput = Type.Object(
  {
    mode: Type.Optional(Type.Union([Type.Literal('full'), Type.Literal('incremental')])),
    confirm: Type.Optional(Type.String({ maxLength: 64, description: 'id of the question that is answered with yes' })),
  },
  { ...CLOSED, $id: 'SyncInput' },
);
export type SyncInput = Static<typeof SyncInput>;

/** For how long a token of a SCIM client is good. */
const DirectoryTokenInput = Type.Object(
  {
    ttlMs: Type.Optional(Type.Integer({ minimum: 60_000, maximum: 730 * 86_400_000 })),
    endOthers: Type.Optional(Type.Boolean({ description: 'end the tokens before it now, rather than after a week' })),
  },
  { ...CLOSED, $id: 'DirectoryTokenInput' },
);

/** A token of a SCIM client; it is shown once. */
export const DirectoryTokenView = Type.Object(
  { id: Type.String(), token: Type.String(), expiresAt: Time(), url: Type.String() },
  { ...CLOSED, $id: 'DirectoryToken' },
);
export type DirectoryTokenView = Static<typeof DirectoryTokenView>;

/** A group of a directory, and the group of the realm that it stands for. */
export const DirectoryGroupView = Type.Object(
  { subject: Type.String(), name: Type.String(), group: Type.String(), accounts: Type.Integer() },
  { ...CLOSED, $id: 'DirectoryGroup' },
);
export type DirectoryGroupView = Static<typeof DirectoryGroupView>;

/** Which group of the realm a group of a directory stands for. */
const GroupMapInput = Type.Object(
  { subject: Type.String({ minLength: 1, maxLength: 256 }), group: Type.String({ minLength: 1, maxLength: 64 }) },
  { ...CLOSED, $id: 'GroupMapInput' },
);

/** Which users move to which directory, and by which attributes they are found there. */
const MigrationInput = Type.Object(
  {
    from: Line(),
    to: Line(),
    match: Type.Tuple([Line(), Line()]),
    apply: Type.Boolean(),
    acceptRights: Type.Optional(Type.Boolean({ description: 'users whose rights would change may move' })),
  },
  { ...CLOSED, $id: 'MigrationInput' },
);

/** What a migration does, or has done. */
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

/** Directories, and what comes from them. */
export const directories = operations('directories', {
  list: {
    method: 'GET',
    path: '/v1/directories',
    about: 'Directories in the order of their names, a page of them',
    cursor: 'name',
    query: CursorQuery,
    answer: Type.Array(DirectoryView),
  },
  get: {
    method: 'GET',
    path: '/v1/directories/:name',
    about: 'A directory and how it is',
    params: NameParam,
    answer: DirectoryView,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  put: {
    method: 'PUT',
    path: '/v1/directories/:name',
    about: 'Create or change a directory',
    reason: true,
    params: NameParam,
    body: DirectoryInput,
    answer: DirectoryView,
    errors: ['ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_DIRECTORY_SETTINGS', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  remove: {
    method: 'DELETE',
    path: '/v1/directories/:name',
    about: 'Remove a directory to which no user belongs any more',
    reason: true,
    params: NameParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
  test: {
    method: 'POST',
    path: '/v1/directories/:name/test',
    about: 'Try everything that a directory relies on',
    reason: true,
    params: NameParam,
    answer: Type.Array(FindingView),
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_DIRECTORY_SETTINGS'],
  },
  sync: {
    method: 'POST',
    path: '/v1/directories/:name/sync',
    about: 'Start a sync now; the directory tells how it goes',
    reason: true,
    params: NameParam,
    body: SyncInput,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_SECURITY_NO_SYNC'],
  },
  token: {
    method: 'POST',
    path: '/v1/directories/:name/tokens',
    about: 'Issue a bearer token for a SCIM client',
    reason: true,
    params: NameParam,
    body: DirectoryTokenInput,
    answer: DirectoryTokenView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID'],
  },
  groups: {
    method: 'GET',
    path: '/v1/directories/:name/groups',
    about: 'Groups of a directory and what they stand for, in the order of their ids there, a page of them',
    params: NameParam,
    cursor: 'subject',
    query: SubjectQuery,
    answer: Type.Array(DirectoryGroupView),
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  map: {
    method: 'PUT',
    path: '/v1/directories/:name/groups',
    about: 'Let a group of a directory stand for a group of the realm',
    reason: true,
    params: NameParam,
    body: GroupMapInput,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  migrate: {
    method: 'POST',
    path: '/v1/migrations',
    about: 'Move users to another directory, or say what that would do',
    reason: true,
    body: MigrationInput,
    answer: MigrationView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
});
