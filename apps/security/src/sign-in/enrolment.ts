import {
  auditRefusal,
  type CodeHolder,
  type CredentialCheck,
  type EnrolResult,
  enrol,
  findCodeHolder,
  getRealm,
  type Json,
  settingsOf,
} from '@sallyport/access';
import {
  type AppContext,
  type CodeKey,
  deriveEnrolledKey,
  type EstablishOutcome,
  KEY_BYTES,
  keyOf,
  type PublicKey,
  parseContext,
  type SignedCode,
} from '@sallyport/channel';
import { checkContext } from '@sallyport/lease';
import { addressKey } from '@sallyport/settings';
import type { JWK } from 'jose';
import type { RealmContext } from '../realm-context.ts';
import {
  type LoginAnswer,
  type LoginAttempt,
  type LoginStep,
  nameOf,
  proofFits,
  readSigningKey,
  refused,
} from './attempt.ts';
import { type Credentials, readCredentials } from './credentials.ts';
import { limited } from './limited.ts';
import { findSignInPlace } from './place.ts';
import { sealResume } from './resume.ts';
import type { Verdict } from './verdict.ts';
import { verifyCredentials } from './verify.ts';

/** Handles HS3 of an enrolment; undefined when the handshake itself fails, which a wrong code is part of. */
export async function answerEnrolment(
  context: RealmContext,
  attempt: LoginAttempt,
  siteMap: string,
): Promise<LoginStep | undefined> {
  const { establish, deviceStatic, address } = attempt;
  const code = establish.codeId!;
  const holder = await findCodeHolder(context.access, code);
  // An unknown code takes as long as a wrong one, and leaves as little behind.
  const key = holder?.key ?? keyOf<CodeKey>(context.access.crypto.randomBytes(KEY_BYTES));
  const fields = establish.tryKey(key);
  key.fill(0);
  if (!holder || !fields) return noteWrongCode(context, address, holder !== undefined);
  const app = parseContext(fields.map('app'));
  const signingKey = readSigningKey(fields.map('hk'));
  if (!(await proofFits(establish, signingKey, fields.text('proof', 2_048), ''))) return undefined;
  const credentials = readCredentials(fields);
  const denied = await contextDenied(context, app);
  if (denied) return { answer: await refuseContext(context, { who: whoOf(credentials), denied }) };
  const enrolment = { code, holder, credentials, address, deviceStatic, signingKey, app, outcome: establish.outcome };
  const tried = await limited(context.lockout, [`code ${code} ${addressKey(address)}`], {
    work: () => tryEnrolment(context, enrolment),
    right: ({ result }) => (isUndecided(result) ? undefined : result.status === 'ok'),
  });
  if ('waitMs' in tried) return { answer: refused('LOCKED', tried.waitMs) };
  const { result, verdict } = tried.result;
  if (result.status === 'refused') return { answer: refusalAnswer(result, verdict) };
  if (verdict?.fit) await verdict.afterwards?.();
  const { id } = result.installation;
  const resume = sealResume(context, result.installation, verdict?.fit ? verdict.signIn : undefined);
  const named = nameOf(holder.user);
  return { answer: { status: 'ok', ...named, iid: id, generation: 0, resume, site_map: siteMap, notices: [] } };
}

/**
 * A wrong secret burns nothing, since it cannot be guessed: whoever saw the id would else take the code from its user. It is
 * on record as strangers' refusals are.
 */
function noteWrongCode(context: RealmContext, address: string, known: boolean): undefined {
  const why = known ? 'the secret of the activation code is wrong' : 'the activation code is unknown';
  context.refusals.note({ action: 'enrol', subject: 'activation code', why, address });
}

interface Enrolment {
  readonly code: string;
  readonly holder: CodeHolder;
  readonly credentials: Credentials;
  readonly address: string;
  readonly deviceStatic: PublicKey;
  readonly signingKey: JWK;
  readonly app: AppContext;
  readonly outcome: EstablishOutcome;
}

async function tryEnrolment(
  context: RealmContext,
  { code, holder, credentials, address, deviceStatic, signingKey, app, outcome }: Enrolment,
): Promise<{ result: EnrolResult; verdict: Verdict | undefined }> {
  let verdict: Verdict | undefined;
  const { user } = holder;
  const verify = async (): Promise<CredentialCheck> => {
    const claimant = { user, place: await findSignInPlace(context, user), address, installation: undefined };
    verdict = await verifyCredentials(context, claimant, credentials);
    if (verdict.fit) return { why: '', ...verdict };
    return { ...verdict, undecided: verdict.code === 'CONFIRMATION_NEEDED' };
  };
  const result = await enrol(context.access, {
    code,
    user: whoOf(credentials),
    verify,
    deviceStatic: Uint8Array.from(deviceStatic),
    signingKey: signingKey as unknown as Json,
    sharedKey: deriveEnrolledKey(context.access.crypto, outcome),
    app: `${app.id}@${app.version}`,
    model: app.model,
  });
  return { result, verdict };
}

/** What was wrong: the credentials, or else a code that is used up or has expired. */
function refusalAnswer(result: Extract<EnrolResult, { status: 'refused' }>, verdict: Verdict | undefined): LoginAnswer {
  if (result.code === 'CODE_INVALID' || !verdict || verdict.fit) return refused(result.code);
  return refused(verdict.code, verdict.retryAfterMs);
}

function isUndecided(result: EnrolResult): boolean {
  return result.status === 'refused' && result.code === 'CONFIRMATION_NEEDED';
}

/** Who a device says it is, for the audit log. */
function whoOf(credentials: Credentials): string {
  if (credentials.kind === 'password') return credentials.user;
  return credentials.kind === 'oidc' ? `at ${credentials.directory}` : 'unknown';
}

/** Whether the app context is not good enough for this realm, and why. */
async function contextDenied({ access }: RealmContext, app: AppContext): Promise<SignedCode | undefined> {
  const settings = settingsOf(await access.store.transaction((transaction) => getRealm(transaction)));
  return checkContext(settings.context, app);
}

async function refuseContext(
  { access }: RealmContext,
  { who, denied }: { who: string; denied: SignedCode },
): Promise<LoginAnswer> {
  const reason = `the app context is refused: ${denied}`;
  await auditRefusal(access, { actor: who, action: 'enrol', subject: 'activation code', reason });
  return refused(denied);
}
