import {
  AccessError,
  auditRefusal,
  createSession,
  findSigningDevice,
  type InstallationRow,
  type KeyCandidate,
  keyCandidates,
  noteRefusedVersion,
  noteRevokedVersion,
  noteServedVersion,
  type SigningDevice,
  type UserRow,
} from '@sallyport/access';
import {
  type AppContext,
  type CborFields,
  encodeCbor,
  MAX_ANSWER_BYTES,
  parseContext,
  type Routes,
  routesToCbor,
  type SecurityEstablish,
} from '@sallyport/channel';
import { checkFacts } from '@sallyport/lease';
import { addressKey } from '@sallyport/settings';
import type { JWK } from 'jose';
import { type LoginAnswer, type LoginAttempt, type LoginStep, nameOf, refused, updateRootOf } from './answer.ts';
import { readCredentials } from './credentials.ts';
import { limited } from './lockout.ts';
import type { SignInParts } from './parts.ts';
import { proofFits } from './proof.ts';
import { checkCode } from './second-factor.ts';
import { isRevokedVersion, mayBeVersion, type Refusal, refusal, revoked, type Vouched, whyDenied } from './verdict.ts';
import { verifyCredentials } from './verify.ts';

/** More than these do not come with the answer, which has other things to say, but with the first channel. */
const MAX_ROUTES_AT_ONCE = 128;

/** Rounds of a step-up (SPEC.md, section 2). */
const MAX_ROUNDS = 4;

/** A login whose device has proved itself. */
interface Login extends SigningDevice {
  readonly attempt: LoginAttempt;
  readonly used: KeyCandidate;
  readonly app: AppContext;
  readonly user: UserRow;
  readonly siteMap: string;
  /** The version is below the minimum: the session is good for its update only. */
  readonly isOld: boolean;
}

/** Handles HS3 of a login; undefined when the handshake itself fails: unknown device, wrong key or wrong proof. */
export async function answerLogin(
  parts: SignInParts,
  attempt: LoginAttempt,
  siteMap: string,
): Promise<LoginStep | undefined> {
  const { establish, deviceStatic, address } = attempt;
  const device = await findSigningDevice(parts.access, parts.policies, Uint8Array.from(deviceStatic));
  const opened = device && openWithKeys(parts, establish, device.installation);
  if (!opened) return undefined;
  const { fields, used } = opened;
  const { installation, user, place, settings, rule } = device;
  if (fields.text('iid', 64) !== installation.id) return undefined;
  const signingKey = installation.signingKey as JWK;
  if (!(await proofFits(establish, signingKey, fields.text('proof', 2_048), installation.id))) return undefined;
  const app = parseContext(fields.map('app'));
  if (!user?.enabled) {
    const name = user?.name ?? installation.userId;
    return refuse(parts, { name, installation }, revoked('the user is disabled', 'user'));
  }
  const denied = checkFacts(rule, app);
  const isOld = denied === 'APP_UPDATE_REQUIRED' && mayUpdate(device, app);
  const login = { ...device, user, attempt, used, app, siteMap, isOld };
  if (denied)
    await noteRefusedVersion(parts.access, { ...signingIn(login), mayBeVersion: mayBeVersion(rule, app, denied) });
  if (isRevokedVersion(rule, app)) return refuse(parts, named(login), revoked(whyDenied(rule, app, 'REVOKED'), 'app'));
  if (denied && !isOld) return refuse(parts, named(login), refusal(denied, whyDenied(rule, app, denied)));
  // A key that was replaced may be in a copy of the device: with it the user is asked whatever the realm says.
  if (!settings.loginNeedsPassword && used.slot !== 'previous')
    return secondFactor(parts, login, { userUnasked: true });
  const claimant = { user, place, address, installation };
  const verdict = await verifyCredentials(parts, claimant, readCredentials(fields));
  return verdict.fit ? secondFactor(parts, login, verdict) : refuse(parts, named(login), verdict);
}

/** Whether a version that is too old may sign in all the same, for its update: everything else of it fits. */
function mayUpdate({ ruleForOld }: SigningDevice, app: AppContext): boolean {
  return ruleForOld !== undefined && checkFacts(ruleForOld, app) === undefined;
}

function openWithKeys(
  parts: SignInParts,
  establish: SecurityEstablish,
  installation: InstallationRow,
): { fields: CborFields; used: KeyCandidate } | undefined {
  const { store, keyring } = parts.access;
  for (const used of keyCandidates(store.realm, keyring, installation)) {
    const fields = establish.tryKey(used.key);
    if (fields) return { fields, used };
  }
  return undefined;
}

function signingIn({ app, installation }: Login): { app: string; installationId: string } {
  return { app: `${app.id}@${app.version}`, installationId: installation.id };
}

function named({ user, installation }: Login): { name: string; installation: InstallationRow } {
  return { name: user.name, installation };
}

/** Refuses, and keeps why for the officer: the device learns the code only. */
async function refuse(
  { access }: SignInParts,
  { name, installation }: { name: string; installation: InstallationRow },
  { code, why, retryAfterMs, cause }: Refusal,
): Promise<LoginStep> {
  await auditRefusal(access, { actor: name, action: 'login', subject: installation.id, reason: why });
  return { answer: refused(code, retryAfterMs, cause) };
}

/** Asks for a second factor when the user has one, or must have; a provider's own factors are in its `acr` and `amr`. */
async function secondFactor(parts: SignInParts, login: Login, vouched: Vouching): Promise<LoginStep> {
  const { factorAt, settings, place } = login;
  if (factorAt !== null) return askForCode(parts, login, { vouched, round: 1 });
  const ours = !place.directory || place.directory.kind === 'ldap';
  if (settings.secondFactor !== 'required' || !ours) return complete(parts, login, vouched);
  return refuse(parts, named(login), refusal('STEP_UP', 'the user has no second factor'));
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

function askForCode(parts: SignInParts, login: Login, { vouched, round }: Round): LoginStep {
  const answer: LoginAnswer = { status: 'step_up', factors: ['totp'], tries: MAX_ROUNDS - round + 1 };
  const next = async (fields: CborFields): Promise<LoginStep> => {
    const name = login.user.name;
    const device = `factor ${name} device ${login.installation.id}`;
    const keys = [`factor ${name} ${addressKey(login.attempt.address)}`, device];
    const code = fields.optionalText('totp', 16) ?? '';
    const tried = await limited(parts.lockout, keys, {
      work: () => checkCode(parts.access, login.user, { code, at: parts.wallMs() }),
      right: (fits) => fits,
    });
    if ('waitMs' in tried) {
      const why = `the second factor is locked out for ${Math.ceil(tried.waitMs / 1_000)} s`;
      return refuse(parts, named(login), refusal('LOCKED', why, tried.waitMs));
    }
    if (tried.result) return complete(parts, login, vouched);
    const last = round === MAX_ROUNDS;
    const wrong = await refuse(parts, named(login), refusal('CREDENTIALS_INVALID', 'the one-time code is wrong'));
    return last ? wrong : askForCode(parts, login, { vouched, round: round + 1 });
  };
  return { answer, next };
}

async function complete(
  parts: SignInParts,
  login: Login,
  { signIn, resumeId, userUnasked = false }: Vouching,
): Promise<LoginStep> {
  const { installation, used, app, attempt, user, factorAt } = login;
  const session = await createSession(parts.access, {
    installationId: installation.id,
    used,
    outcome: attempt.establish.outcome,
    app: `${app.id}@${app.version}`,
    os: app.os,
    isOld: login.isOld,
    policies: parts.policies,
    userUnasked,
    checked: { passwordHash: user.passwordHash, factorAt },
    ...(signIn ? { signIn } : {}),
    ...(resumeId === undefined ? {} : { resumeId }),
  }).catch((error: unknown) => {
    if (error instanceof AccessError && error.code === 'ERR_ACCESS_CONFLICT') return error.message;
    throw error;
  });
  if (typeof session === 'string') return refuse(parts, named(login), refusal('CREDENTIALS_INVALID', session));
  if (!session) {
    const isApp = await noteRevokedVersion(parts.access, signingIn(login));
    return refuse(parts, named(login), revoked('revoked meanwhile', isApp ? 'app' : undefined));
  }
  if (installation.refusedApp) await noteServedVersion(parts.access, signingIn(login));
  const { row, rotation, routes } = session;
  parts.replaced.makeWay(installation.id);
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
    ...updateRootOf(parts.access, login.updateRoot),
    ...(login.isOld ? { update_required: true } : {}),
    notices: [],
  };
  return { answer: withRoutes(answer, routes) };
}

/** Routes that have no room beside the site map come with the first channel, too. */
function withRoutes(answer: LoginAnswer, routes: Routes | undefined): LoginAnswer {
  if (!routes || routes.routes.length > MAX_ROUTES_AT_ONCE) return answer;
  const said = { ...answer, routes: routesToCbor(routes) };
  return encodeCbor(said).length <= MAX_ANSWER_BYTES ? said : answer;
}
