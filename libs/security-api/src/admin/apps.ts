import Type, { type Static } from 'typebox';
import { CLOSED, formed, Line, Name, Names, orNull, Time } from '../fields.ts';
import { AppPlatform, Signers, Version } from '../grant.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, IdPattern, IdWords } from './params.ts';
import { Origin } from './sites.ts';

const AppIdWords =
  'an id like com.example.app, of 1 to 128 letters, digits and . _ -, with a letter or digit at both ends';

/** The lowest version of an app that is served, and from when on: until then older ones go on. */
export const AppMinimum = Type.Object(
  { version: Version('lowest version that is served'), from: Time('when older ones are refused') },
  CLOSED,
);
export type AppMinimum = Static<typeof AppMinimum>;

const CHANNEL = '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$';
const ChannelWords = 'a name like beta, of 1 to 32 small letters, digits and -';

/** A channel of releases: `stable`, on which everybody is, or one of the app. */
export const ReleaseChannel = Type.String({ pattern: CHANNEL, ...formed(ChannelWords, 'a channel of releases') });

/** Who is on each channel of releases of an app. */
const AppChannels = Type.Record(
  Type.String({ pattern: CHANNEL.replace('^', '^(?!stable$)') }),
  Type.Array(Name(), { maxItems: 64 }),
  {
    maxProperties: 16,
    additionalProperties: false,
    description:
      'groups by the name of a channel of releases that they are on, beside stable: everybody is on that; none where single devices are alone on it',
  },
);

/** An app that devices may be. */
export const AppInput = Type.Object(
  {
    title: Type.Optional(Line('what people call it')),
    platforms: Type.Optional(Type.Array(AppPlatform, { maxItems: 16, description: 'systems it runs on; none: any' })),
    signers: Type.Optional(Signers('SHA-256 of the certificates that sign it; none: whoever signed it, or nobody')),
    groups: orNull(Names),
    owners: Type.Optional(Type.Array(Line(), { maxItems: 16, description: 'whom to ask about it' })),
    minimum: Type.Optional(orNull(AppMinimum)),
    channels: Type.Optional(AppChannels),
  },
  { ...CLOSED, $id: 'AppInput' },
);
export type AppInput = Static<typeof AppInput>;

/** An app as it is registered. */
export const AppView = Type.Object(
  {
    id: Type.String(),
    title: Type.String(),
    platforms: Type.Array(AppPlatform),
    signers: Type.Array(Type.String()),
    groups: Type.Union([Type.Array(Type.String()), Type.Null()], { description: 'who may use it; null for everybody' }),
    owners: Type.Array(Type.String()),
    minimum: Type.Union([AppMinimum, Type.Null()], { description: 'lowest version that is served; null for any' }),
    channels: Type.Record(Type.String(), Type.Array(Type.String()), {
      description: 'groups by the name of a channel of releases that they are on, beside stable',
    }),
  },
  { ...CLOSED, $id: 'App' },
);
export type AppView = Static<typeof AppView>;

const AppParam = Type.Object({
  id: Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$', ...formed(AppIdWords) }),
});

/** For whom a link to install an app is. */
const AppLinkInput = Type.Object(
  {
    user: Name(),
    ttlMs: Type.Optional(Type.Integer({ minimum: 60_000, maximum: 30 * 86_400_000 })),
    origin: Type.Optional(Origin),
  },
  { ...CLOSED, $id: 'AppLinkInput' },
);

/** A link to install an app; it is shown once, and good once. */
export const AppLinkView = Type.Object({ link: Type.String(), expiresAt: Time() }, { ...CLOSED, $id: 'AppLink' });
export type AppLinkView = Static<typeof AppLinkView>;

const ChannelFields = {
  id: Type.String({ pattern: '^[A-Za-z0-9._-]{1,128}$', ...formed('the id of an app') }),
  channel: ReleaseChannel,
};
const ChannelDeviceParam = Type.Object({
  ...ChannelFields,
  installation: Type.String({ pattern: IdPattern, ...formed(IdWords) }),
});

/** A device that is on a channel of releases by itself, whatever groups its user is in. */
export const ChannelDeviceView = Type.Object(
  {
    id: Type.String({ description: 'of the installation' }),
    user: Type.String(),
    app: Type.String({ description: 'as which it last signed in' }),
    model: Type.String(),
    addedAt: Time(),
    addedBy: Type.String(),
    reason: Type.String(),
  },
  { ...CLOSED, $id: 'ChannelDevice' },
);
export type ChannelDeviceView = Static<typeof ChannelDeviceView>;

/** Apps that devices may be: others neither enrol nor sign in. */
export const apps = operations('apps', {
  list: {
    method: 'GET',
    path: '/v1/apps',
    about: 'Registered apps by id, a page of them',
    cursor: 'id',
    query: CursorQuery,
    answer: Type.Array(AppView),
  },
  get: {
    method: 'GET',
    path: '/v1/apps/:id',
    about: 'One registered app',
    params: AppParam,
    answer: AppView,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  put: {
    method: 'PUT',
    path: '/v1/apps/:id',
    about: 'Register an app, or replace what is known of it',
    reason: true,
    onlyNew: true,
    params: AppParam,
    body: AppInput,
    answer: AppView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  link: {
    method: 'POST',
    path: '/v1/apps/:id/links',
    about: 'Make a link by which a user installs an app where nothing of the realm is yet; it is good once',
    reason: true,
    params: AppParam,
    body: AppLinkInput,
    answer: AppLinkView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_SECURITY_NO_SITE'],
  },
  devices: {
    method: 'GET',
    path: '/v1/apps/:id/channels/:channel/installations',
    about:
      'Devices that are on a channel of releases by themselves, by id, a page of them; who is on it by a group is not among them',
    cursor: 'id',
    params: Type.Object(ChannelFields),
    query: CursorQuery,
    answer: Type.Array(ChannelDeviceView),
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  assign: {
    method: 'PUT',
    path: '/v1/apps/:id/channels/:channel/installations/:installation',
    about: 'Put one device on a channel of releases, whatever groups its user is in',
    reason: true,
    params: ChannelDeviceParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT'],
  },
  unassign: {
    method: 'DELETE',
    path: '/v1/apps/:id/channels/:channel/installations/:installation',
    about: 'Take one device off a channel of releases',
    reason: true,
    params: ChannelDeviceParam,
    answer: Done,
  },
  remove: {
    method: 'DELETE',
    path: '/v1/apps/:id',
    about: 'Let an app in no more',
    reason: true,
    params: AppParam,
    answer: Done,
    errors: ['ERR_ACCESS_CONFLICT', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
});
