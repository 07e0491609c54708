import Type, { type Static } from 'typebox';
import { CLOSED } from '../fields.ts';
import { ContextRule } from '../grant.ts';
import { operations } from './operation.ts';

/** The handshake key that is left, and those that are not. */
const HandshakeKeysView = Type.Object(
  {
    kid: Type.Integer({ minimum: 1, description: 'the new key' }),
    revoked: Type.Array(Type.Integer({ minimum: 1 }), { description: 'keys that are good for nothing any more' }),
  },
  { ...CLOSED, $id: 'HandshakeKeys' },
);

/** Settings of the realm. */
export const RealmSettings = Type.Object(
  {
    sessionTtlMs: Type.Integer({ minimum: 1_000, maximum: 30 * 86_400_000 }),
    rotateAfterMs: Type.Integer({ minimum: 0, maximum: 365 * 86_400_000 }),
    previousKeyGraceMs: Type.Integer({ minimum: 0, maximum: 86_400_000 }),
    codeTtlMs: Type.Integer({ minimum: 60_000, maximum: 30 * 86_400_000 }),
    openBurst: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    openRate: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    channelsPerSession: Type.Integer({
      minimum: 1,
      maximum: 64,
      description: 'channels of a session at one Proxy at once',
    }),
    channelsPerInstallation: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'channels of an installation with all its sessions at one Proxy at once',
    }),
    channelsPerUser: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'channels of a user with all devices at one Proxy at once',
    }),
    webSocketMessageBytes: Type.Integer({
      minimum: 1,
      maximum: 268_435_456,
      description: 'bytes of the largest message of a WebSocket, where its resource says nothing else',
    }),
    loginNeedsPassword: Type.Boolean({
      description: "whether a login needs the user's password beside the installation's keys",
    }),
    secondFactor: Type.Union([Type.Literal('whenEnrolled'), Type.Literal('required')], {
      description: 'whether who has no second factor may sign in; who has one always needs it',
    }),
    endedKeepMs: Type.Integer({
      minimum: 86_400_000,
      maximum: 3_650 * 86_400_000,
      description: 'how long ended sessions, revoked installations and tokens are kept for the record',
    }),
    auditKeepMs: Type.Integer({
      minimum: 0,
      maximum: 3_650 * 86_400_000,
      description: 'how long audit events are kept; 0 for ever. Older ones are removed up to a sealed checkpoint',
    }),
    production: Type.Boolean({
      description:
        'true for a realm that people work with: evidence of the connector `software`, the own word of an app, is refused',
    }),
    context: ContextRule,
    enrolPage: Type.String({ maxLength: 255, description: 'page that enrolment links lead to' }),
  },
  { ...CLOSED, $id: 'RealmSettings' },
);
export type RealmSettings = Static<typeof RealmSettings>;

/** Settings that change; what is not named stays. */
const RealmSettingsPatch = Type.Partial(RealmSettings, { ...CLOSED, $id: 'RealmSettingsPatch' });

/** The realm. */
export const realm = operations('realm', {
  get: { method: 'GET', path: '/v1/realm', about: 'Settings of the realm', answer: RealmSettings },
  change: {
    method: 'PATCH',
    path: '/v1/realm',
    about: 'Change settings of the realm',
    reason: true,
    body: RealmSettingsPatch,
    answer: RealmSettings,
    errors: ['ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  rekey: {
    method: 'POST',
    path: '/v1/handshake-keys/replace',
    about: 'Take all handshake keys out of use but a new one: for keys that may be in wrong hands',
    reason: true,
    answer: HandshakeKeysView,
  },
});
