import Type, { type Static } from 'typebox';
import { CLOSED, formed, Name, Names, orNull, Time } from '../fields.ts';
import { Signers, Version } from '../grant.ts';
import { Text } from '../text.ts';
import { ReleaseChannel } from './apps.ts';
import { operations } from './operation.ts';
import { CursorQuery, PageLimit } from './paging.ts';
import { Done, IdParam, NameParam } from './params.ts';

const HASH = '^[0-9a-f]{64}$';
const HASH_WORDS = 'a SHA-256 as 64 hexadecimal digits in lower case';
const Hash = Type.String({ pattern: HASH, ...formed(HASH_WORDS) });

/** A package in the store, as it was read out of its file. */
export const PackageView = Type.Object(
  {
    kind: Type.Union([Type.Literal('apk'), Type.Literal('ipa'), Type.Literal('web')]),
    os: Type.String(),
    id: Type.String(),
    version: Type.String(),
    build: Type.String(),
    minOsVersion: Type.String(),
    signers: Type.Array(Type.String()),
    permissions: Type.Array(Type.String()),
    sha256: Type.String(),
    bytes: Type.Integer(),
    chunks: Type.Array(Type.String(), { description: 'SHA-256 of each MiB, hex' }),
  },
  { ...CLOSED, $id: 'Package' },
);
export type PackageView = Static<typeof PackageView>;

/** What a file says of itself that is to become a package. */
export const PackageClaims = Type.Object(
  {
    os: Type.Literal('android', { description: 'android: only there a package is made of another file' }),
    id: Type.String({ pattern: '^[A-Za-z0-9._-]{1,128}$', ...formed('the id of an app') }),
    version: Version('as which version of the app'),
    build: Type.String({ pattern: '^[0-9]{1,20}$', ...formed('a number of up to 20 digits', 'its `versionCode`') }),
    signers: Signers('SHA-256 of the certificates that signed it'),
  },
  { ...CLOSED, $id: 'PackageClaims' },
);
export type PackageClaims = Static<typeof PackageClaims>;

const Percent = Type.Integer({ minimum: 1, maximum: 100, ...formed('a part from 1 to 100 percent') });
/** A step of a rollout. */
const RolloutStep = Type.Object(
  {
    percent: Percent,
    afterMs: Type.Integer({
      minimum: 0,
      maximum: 31_536_000_000,
      ...formed('ms, up to a year', 'how long after its begin'),
    }),
  },
  CLOSED,
);
const RolloutSteps = Type.Array(RolloutStep, {
  minItems: 1,
  maxItems: 16,
  description: 'parts of the installations, one after the other',
});

/** A rollout as it stands. */
export const Rollout = Type.Object(
  {
    steps: Type.Array(Type.Object({ percent: Type.Integer(), at: Type.Integer() }, CLOSED)),
    groups: Type.Union([Type.Array(Type.String()), Type.Null()], {
      description: 'whose devices are offered it; null for all',
    }),
    haltAbovePercent: Type.Integer({
      description: 'it halts where so many percent more fail or are refused than with the version before',
    }),
    haltedAt: Type.Union([Type.Integer(), Type.Null()]),
    haltedWhy: Type.Union([Type.String(), Type.Null()]),
  },
  { ...CLOSED, $id: 'Rollout' },
);
export type Rollout = Static<typeof Rollout>;

/** A package that is to be a release. */
export const ReleaseInput = Type.Object(
  {
    sha256: Hash,
    notes: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$' }), Text({ maxLength: 4_096 }), {
        maxProperties: 32,
        description: 'what changed, by language',
      }),
    ),
    channel: Type.Optional(ReleaseChannel),
    rollout: Type.Optional(
      Type.Object(
        {
          steps: Type.Optional(RolloutSteps),
          groups: Type.Optional(Names),
          haltAbovePercent: Type.Optional(Percent),
        },
        CLOSED,
      ),
    ),
  },
  { ...CLOSED, $id: 'ReleaseInput' },
);
export type ReleaseInput = Static<typeof ReleaseInput>;

/** A change of a rollout. */
export const RolloutChange = Type.Object(
  {
    do: Type.Union([Type.Literal('halt'), Type.Literal('resume'), Type.Literal('advance'), Type.Literal('steps')], {
      description:
        'halt, resume, advance to the next step, or other steps from now on; steps on a channel that the release is not on begin it there',
    }),
    channel: Type.Optional(ReleaseChannel),
    steps: Type.Optional(RolloutSteps),
    groups: Type.Optional(Names),
    haltAbovePercent: Type.Optional(Percent),
  },
  { ...CLOSED, $id: 'RolloutChange' },
);
export type RolloutChange = Static<typeof RolloutChange>;

/** A release as it stands. */
export const ReleaseView = Type.Object(
  {
    id: Type.String(),
    app: Type.String(),
    version: Type.String(),
    build: Type.String(),
    os: Type.String(),
    state: Type.Union([Type.Literal('proposed'), Type.Literal('live'), Type.Literal('withdrawn')]),
    sha256: Type.String(),
    bytes: Type.Integer(),
    notes: Type.Record(Type.String(), Type.String()),
    permissions: Type.Array(Type.String()),
    publishedBy: Type.String(),
    publishedAt: Time(),
    rollouts: Type.Record(Type.String(), Rollout, { description: 'by the channels that it is on' }),
  },
  { ...CLOSED, $id: 'Release' },
);
export type ReleaseView = Static<typeof ReleaseView>;

/** How a release fares. */
export const ReleaseStandingView = Type.Object(
  {
    release: ReleaseView,
    percents: Type.Record(Type.String(), Type.Integer(), {
      description: 'by channel, part of its installations that it is offered to now',
    }),
    running: Type.Integer({ description: 'installations that run its version' }),
    downloading: Type.Integer(),
    installed: Type.Integer(),
    failed: Type.Integer(),
    refused: Type.Integer({ description: 'installations whose last sign-in was refused with it, for whatever reason' }),
  },
  { ...CLOSED, $id: 'ReleaseStanding' },
);
export type ReleaseStandingView = Static<typeof ReleaseStandingView>;

/** A version of an app that installations run, or of which there is a release. */
export const AppVersionView = Type.Object(
  {
    version: Type.String(),
    os: Type.Union([Type.String(), Type.Null()], { description: 'null of installations that never said theirs' }),
    running: Type.Integer({ description: 'installations that last signed in with it' }),
    refused: Type.Integer({ description: 'installations that were refused with it, and have not signed in since' }),
    known: Type.Union(
      [Type.Literal('live'), Type.Literal('proposed'), Type.Literal('withdrawn'), Type.Literal('unknown')],
      { description: 'the state of its release; unknown where there is none' },
    ),
    blocked: Type.Boolean({
      description: 'it was revoked, or so many are that it is refused with them: nobody signs in with it',
    }),
    tooOld: Type.Boolean({ description: 'it is below the minimum of the app, which is due' }),
  },
  { ...CLOSED, $id: 'AppVersion' },
);
export type AppVersionView = Static<typeof AppVersionView>;

/** Whether a release is offered to an installation. */
export const OfferedToView = Type.Object(
  {
    id: Type.String({ description: 'of the installation' }),
    user: Type.String(),
    app: Type.String({ description: 'as which it last signed in' }),
    offered: Type.Boolean(),
    why: Type.String({ description: 'why it is not; empty where it is' }),
  },
  { ...CLOSED, $id: 'OfferedTo' },
);
export type OfferedToView = Static<typeof OfferedToView>;

const MetadataText = Type.String({
  minLength: 2,
  maxLength: 4_000_000,
  ...formed('metadata of The Update Framework as JSON text'),
});

/** Bytes of one part of a package. */
const PART_BYTES = 4 * 1024 * 1024;
const HashParam = Type.Object({ sha256: Hash });
const AppIdParam = Type.Object({
  id: Type.String({ pattern: '^[A-Za-z0-9._-]{1,128}$', ...formed('the id of an app') }),
});

/** Packages of apps, their releases, and what devices verify them by. */
export const releases = operations('releases', {
  upload: {
    method: 'PUT',
    path: '/v1/packages/:sha256',
    about: 'Add bytes to a package; says how many there are, and what it is once all are there',
    publisher: true,
    params: HashParam,
    maxBodyBytes: 2 * PART_BYTES,
    body: Type.Object(
      {
        at: Type.Integer({ minimum: 0, ...formed('bytes before this part') }),
        bytes: Type.Integer({ minimum: 1, ...formed('bytes in all') }),
        content: Type.String({
          maxLength: 2 * PART_BYTES,
          pattern: '^[A-Za-z0-9_-]*$',
          ...formed('up to 4 MiB as base64url'),
        }),
      },
      CLOSED,
    ),
    answer: Type.Object({ there: Type.Integer(), package: Type.Union([PackageView, Type.Null()]) }),
    errors: ['ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT', 'ERR_SECURITY_PACKAGES'],
  },
  fit: {
    method: 'POST',
    path: '/v1/packages/fit',
    about: 'Ask whether a package that says so of itself would fit as the next release of its app; nothing is kept',
    publisher: true,
    body: PackageClaims,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT'],
  },
  publish: {
    method: 'POST',
    path: '/v1/releases',
    about: 'Propose a package that is there as a release of its app',
    publisher: true,
    reason: true,
    body: ReleaseInput,
    answer: ReleaseView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT', 'ERR_SECURITY_PACKAGES'],
  },
  list: {
    method: 'GET',
    path: '/v1/releases',
    about: 'Releases by id, a page of them',
    cursor: 'id',
    query: CursorQuery,
    answer: Type.Array(ReleaseView),
  },
  draft: {
    method: 'GET',
    path: '/v1/releases/:id/targets',
    about: 'The targets with a release, to be signed',
    params: IdParam,
    answer: Type.Object({ metadata: Type.String(), threshold: Type.Integer() }),
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
  sign: {
    method: 'PUT',
    path: '/v1/releases/:id/targets',
    about: 'Sign the targets with a release: with enough signatures it is live',
    reason: true,
    params: IdParam,
    maxBodyBytes: 5_000_000,
    body: Type.Object({ metadata: MetadataText }, CLOSED),
    answer: ReleaseView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT'],
  },
  rollout: {
    method: 'PATCH',
    path: '/v1/releases/:id/rollout',
    about: 'Halt a rollout, resume it, go on to its next step, give it other ones, or begin it on another channel',
    reason: true,
    params: IdParam,
    body: RolloutChange,
    answer: ReleaseView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT'],
  },
  withdraw: {
    method: 'DELETE',
    path: '/v1/releases/:id',
    about: 'Take a release back: nobody is offered it any more',
    reason: true,
    params: IdParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  offered: {
    method: 'GET',
    path: '/v1/releases/:id/installations',
    about: 'Installations by id, a page of them, each with whether a release is offered to it now, and why it is not',
    cursor: 'id',
    params: IdParam,
    query: CursorQuery,
    answer: Type.Array(OfferedToView),
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  standings: {
    method: 'GET',
    path: '/v1/apps/:id/releases',
    about: 'How the newest releases of an app fare, the newest first',
    params: AppIdParam,
    query: Type.Object({ limit: Type.Optional(PageLimit) }, CLOSED),
    answer: Type.Array(ReleaseStandingView),
  },
  versions: {
    method: 'GET',
    path: '/v1/apps/:id/versions',
    about:
      'Versions of an app that installations run or were refused with, the most common first, also those that the realm never released',
    params: AppIdParam,
    query: Type.Object({ limit: Type.Optional(PageLimit) }, CLOSED),
    answer: Type.Array(AppVersionView),
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
});

/** Who signs what devices take for an update. */
export const updates = operations('updates', {
  root: {
    method: 'GET',
    path: '/v1/updates/root',
    about: 'The newest root, and the keys with which Security signs online',
    answer: Type.Object({
      metadata: orNull(Type.String()),
      onlineKeys: Type.Array(Type.String(), { description: 'public keys of Ed25519, hex; a root names one of them' }),
    }),
  },
  put: {
    method: 'PUT',
    path: '/v1/updates/root',
    about: 'Put the next root, signed by enough keys of the one before and of its own',
    reason: true,
    maxBodyBytes: 1_000_000,
    body: Type.Object({ metadata: MetadataText }, CLOSED),
    answer: Type.Object({ version: Type.Integer() }),
    errors: ['ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT'],
  },
});

/** Pipelines that may publish, and nothing else. */
export const publishers = operations('publishers', {
  list: {
    method: 'GET',
    path: '/v1/publishers',
    about: 'Pipelines by name, a page of them',
    cursor: 'name',
    query: CursorQuery,
    answer: Type.Array(
      Type.Object({ name: Type.String(), createdAt: Time(), endedAt: Type.Union([Time(), Type.Null()]) }, CLOSED),
    ),
  },
  issue: {
    method: 'POST',
    path: '/v1/publishers',
    about: 'Make a credential that can publish and nothing else; the one before of this name is over',
    reason: true,
    body: Type.Object({ name: Name('what the pipeline is called') }, CLOSED),
    answer: Type.Object({ name: Type.String(), token: Type.String() }),
  },
  end: {
    method: 'DELETE',
    path: '/v1/publishers/:name',
    about: 'End the credential of a pipeline at once',
    reason: true,
    params: NameParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
});
