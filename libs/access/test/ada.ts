import { keyOf, type SharedKey } from '@sallyport/channel';
import {
  type AccessContext,
  createSession,
  type EnrolResult,
  issueCode,
  type KeyCandidate,
  keyCandidates,
  putUser,
} from '../src/index.ts';
import { BY, enrolWithPassword, scene } from './scene.ts';

/** What a device of hers asks with. */
export const REQUEST: {
  readonly user: string;
  readonly password: string;
  readonly signingKey: { readonly kty: string; readonly x: string };
  readonly sharedKey: SharedKey;
  readonly app: string;
  readonly model: string;
} = {
  user: 'ada',
  password: 'pw',
  signingKey: { kty: 'EC', x: '1' },
  sharedKey: keyOf<SharedKey>(new Uint8Array(32).fill(9)),
  app: 'a@1',
  model: 'm',
};

/** A realm with the user ada in it. */
export async function withAda(): ReturnType<typeof scene> {
  const made = await scene();
  await putUser(made.access, 'ada', { password: 'pw' }, BY);
  return made;
}

type Installation = Extract<EnrolResult, { status: 'ok' }>['installation'];

/** A new installation of hers. */
export async function enrolled(access: AccessContext, device = 1): Promise<Installation> {
  const { code } = await issueCode(access, 'ada', undefined, BY);
  const result = await enrolWithPassword(access, { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(device) });
  if (result.status !== 'ok') throw new Error(result.code);
  return result.installation;
}

/** Signs her in with one of the keys of an installation. */
export function login(
  access: AccessContext,
  installationId: string,
  used: KeyCandidate,
  seed = 1,
): ReturnType<typeof createSession> {
  const random = new Uint8Array(32).fill(seed);
  const outcome = { handshakeHash: random, clientRandom: random, serverRandom: random, kemSecret: random };
  return createSession(access, { installationId, used, outcome, app: 'a@1' });
}

/** The keys that an installation may sign in with now. */
export async function keys(access: AccessContext, id: string): Promise<KeyCandidate[]> {
  const row = await access.store.transaction(({ tables }) => tables.installations.find({ id }));
  return keyCandidates(access.store.realm, access.keyring, row!);
}
