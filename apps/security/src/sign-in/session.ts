import {
  AccessError,
  auditRefusal,
  createSession,
  findInstallation,
  type InstallationRow,
  type KeyCandidate,
  keyCandidates,
  type UserRow,
} from '@sallyport/access';
import { type AppContext, type CborFields, parseContext, type SecurityEstablish } from '@sallyport/channel';
import { checkContext } from '@sallyport/lease';
import { addressKey } from '@sallyport/settings';
import type { JWK } from 'jose';
import { makeWay } from '../farm/session-end.ts';
import type { RealmContext } from '../realm-context.ts';
import { type LoginAnswer, type LoginAttempt, type LoginStep, nameOf, proofFits, refused } from './attempt.ts';
import { readCredentials } from './credentials.ts';
import { limited } from './limited.ts';
import { readSigningUser, type SigningUser } from './place.ts';
import { checkCode } from './second-factor.ts';
import { type Refusal, refusal, type Vouched } from './verdict.ts';
import { verifyCredentials } from './verify.ts';

/** Rounds of a step-up (SPEC.md, section 2). */
const MAX_ROUNDS = 4;

/** A login whose device has proved itself. */
interface Login extends SigningUser {
  readonly attempt: LoginAttempt;
  readonly installation: InstallationRow;
  readonly used: KeyCandidate;
  readonly app: AppContext;
  readonly user: UserRow;
  readonly siteMap: string;
}

/** Handles HS3 of a login; undefined when the handshake itself fails: unknown device, wrong key or wrong proof. */
export async function answerLogin(
  context: RealmContext,
  attempt: LoginAttempt,
  siteMap: string,
): Promise<LoginStep | undefined> {
  const { establish, deviceStatic, address } = attempt;
  const installation = await findInstallation(context.access, Uint8Array.from(deviceStatic));
  const opened = installation && openWithKeys(context, establish, installation);
  if (!installation || !opened) return undefined;
  const { fields, used } = opened;
  if (fields.text('iid', 64) !== installation.id) return undefined;
  const signingKey = installation.signingKey as unknown as JWK;
  if (!(await proofFits(establish, signingKey, fields.text('proof', 2_048), installation.id))) return undefined;
  const app = parseContext(fields.map('app'));
  const signing = await readSigningUser(context, installation.userId);
  const { user, place, settings } = signing;
  if (!user?.enabled) {
    const name = user?.name ?? installation.userId;
    return refuse(context, { name, installation }, refusal('REVOKED', 'the user is disabled'));
  }
  const login = { ...signing, user, attempt, installation, used, app, siteMap };
  const denied = checkContext(settings.context, app);
  if (denied) return refuse(context, named(login), refusal(denied, `the app context is refused: ${denied}`));
  // A key that was replaced may be in a copy of the device: with it the user is asked whatever the realm says.
  if (!settings.loginNeedsPassword && used.slot !== 'previous')
    return secondFactor(context, login, { userUnasked: true });
  const claimant = { user, place, address, installation };
  const verdict = await verifyCredentials(context, claimant, readCredentials(fields));
  return verdict.fit ? secondFactor(context, login, verdict) : refuse(context, named(login), verdict);
}

function openWithKeys(
  context: RealmContext,
  establish: SecurityEstablish,
  installation: InstallationRow,
): { fields: CborFields; used: KeyCandidate } | undefined {
  const { store, keyring } = context.access;
  for (const used of keyCandidates(store.realm, keyring, installation)) {
    const fields = establish.tryKey(used.key);
    if (fields) return { fields, used };
  }
  return undefined;
}

function named({ user, installation }: Login): { name: string; installation: InstallationRow } {
  return { name: user.name, installation };
}

/** Refuses, and keeps why for the officer: the device learns the code only. */
async function refuse(
  { access }: RealmContext,
  { name, installation }: { name: string; installation: InstallationRow },
  { code, why, retryAfterMs }: Refusal,
): Promise<LoginStep> {
  await auditRefusal(access, { actor: name, action: 'login', subject: installation.id, reason: why });
  return { answer: refused(code, retryAfterMs) };
}

/** Asks for a second factor when the user has one, or must have; a provider's own factors are in its `acr` and `amr`. */
async function secondFactor(context: RealmContext, login: Login, vouched: Vouching): Promise<LoginStep> {
  const { factorAt, settings, place } = login;
  if (factorAt !== null) return askForCode(context, login, { vouched, round: 1 });
  const ours = !place.directory || place.directory.kind === 'ldap';
  if (settings.secondFactor !== 'required' || !ours) return complete(context, login, vouched);
  return refuse(context, named(login), refusal('STEP_UP', 'the user has no second factor'));
}

/** What a session keeps of how its credentials were checked. */
interface Vouching extends Pick<Vouched, 'signIn' | 'resumeId'> {
  /** No credentials were asked for. */
  readonly userUnasked?: boolean;
}

interface Round {
  readonly vouched: Vouching;
  readonly round: number;
}

function askForCode(context: RealmContext, login: Login, { vouched, round }: Round): LoginStep {
  const answer: LoginAnswer = { status: 'step_up', factors: ['totp'], tries: MAX_ROUNDS - round + 1 };
  const next = async (fields: CborFields): Promise<LoginStep> => {
    const name = login.user.name;
    const device = `factor ${name} device ${login.installation.id}`;
    const keys = [`factor ${name} ${addressKey(login.attempt.address)}`, device];
    const code = fields.optionalText('totp', 16) ?? '';
    const tried = await limited(context.lockout, keys, {
      work: () => checkCode(context, login.user, code),
      right: (fits) => fits,
    });
    if ('waitMs' in tried) {
      const why = `the second factor is locked out for ${Math.ceil(tried.waitMs / 1_000)} s`;
      return refuse(context, named(login), refusal('LOCKED', why, tried.waitMs));
    }
    if (tried.result) return complete(context, login, vouched);
    const last = round === MAX_ROUNDS;
    const wrong = await refuse(context, named(login), refusal('CREDENTIALS_INVALID', 'the one-time code is wrong'));
    return last ? wrong : askForCode(context, login, { vouched, round: round + 1 });
  };
  return { answer, next };
}

async function complete(
  context: RealmContext,
  login: Login,
  { signIn, resumeId, userUnasked = false }: Vouching,
): Promise<LoginStep> {
  const { installation, used, app, attempt, user, factorAt } = login;
  const session = await createSession(context.access, {
    installationId: installation.id,
    used,
    outcome: attempt.establish.outcome,
    app: `${app.id}@${app.version}`,
    userUnasked,
    checked: { passwordHash: user.passwordHash, factorAt },
    ...(signIn ? { signIn } : {}),
    ...(resumeId === undefined ? {} : { resumeId }),
  }).catch((error: unknown) => {
    if (error instanceof AccessError && error.code === 'ERR_ACCESS_CONFLICT') return error.message;
    throw error;
  });
  if (typeof session === 'string') return refuse(context, named(login), refusal('CREDENTIALS_INVALID', session));
  if (!session) return refuse(context, named(login), refusal('REVOKED', 'revoked meanwhile'));
  const { row, rotation, others } = session;
  if (others > 1) makeWay(context, installation.id);
  const answer = {
    status: 'ok',
    ...nameOf(user),
    sid: session.sid,
    iid: installation.id,
    expires_in: row.expiresAt - row.createdAt,
    idle: row.expiresAt - row.createdAt,
    rotate: rotation.rotate,
    generation: rotation.generation,
    limits: {},
    site_map: login.siteMap,
    notices: [],
  };
  return { answer };
}
