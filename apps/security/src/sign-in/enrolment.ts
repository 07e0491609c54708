import {
  auditRefusal,
  type CodeHolder,
  type CredentialCheck,
  checkContext,
  type EnrolResult,
  enrol,
  getRealm,
  type Json,
  settingsOf,
} from '@sallyport/access';
import {
  type AppContext,
  deriveEnrolledKey,
  type EstablishOutcome,
  type PublicKey,
  parseContext,
  type SignedCode,
} from '@sallyport/channel';
import type { JWK } from 'jose';
import type { RealmContext } from '../realm-context.ts';
import {
  type LoginAnswer,
  type LoginAttempt,
  type LoginStep,
  proofFits,
  readSigningKey,
  refused,
  ticketOf,
} from './attempt.ts';
import { type Credentials, readCredentials } from './credentials.ts';
import { limited } from './limited.ts';
import { findSignInPlace } from './place.ts';
import { sealResume } from './resume.ts';
import type { Verdict } from './verdict.ts';
import { verifyCredentials } from './verify.ts';

/** Handles HS3 of an enrolment; undefined when the handshake itself fails. */
export async function answerEnrolment(
  context: RealmContext,
  attempt: LoginAttempt,
  siteMap: string,
): Promise<LoginStep | undefined> {
  const { establish, deviceStatic, address } = attempt;
  const fields = establish.tryKey(undefined);
  if (!fields) return undefined;
  const app = parseContext(fields.map('app'));
  const signingKey = readSigningKey(fields.map('hk'));
  if (!(await proofFits(establish, signingKey, fields.text('proof', 2_048), ''))) return undefined;
  const credentials = readCredentials(fields);
  const denied = await contextDenied(context, app);
  if (denied) return { answer: await refuseContext(context, { who: whoOf(credentials), denied }) };
  const code = fields.text('code', 64);
  const key = `code ${code.split('-', 1)[0]} ${address}`;
  const enrolment = { code, credentials, address, deviceStatic, signingKey, app, outcome: establish.outcome };
  const tried = await limited(context.lockout, key, {
    work: () => tryEnrolment(context, enrolment),
    right: ({ result }) => result.status === 'ok',
  });
  if ('waitMs' in tried) return { answer: refused('LOCKED', tried.waitMs) };
  const { result, verdict } = tried.result;
  if (result.status === 'refused') return { answer: refusalAnswer(result, verdict) };
  if (verdict?.fit) await verdict.afterwards?.();
  const { id } = result.installation;
  const resume = sealResume(context, id, verdict?.fit ? verdict.signIn : undefined);
  const ticket = ticketOf(context, id);
  return { answer: { status: 'ok', iid: id, generation: 0, ticket, resume, site_map: siteMap, notices: [] } };
}

interface Enrolment {
  readonly code: string;
  readonly credentials: Credentials;
  readonly address: string;
  readonly deviceStatic: PublicKey;
  readonly signingKey: JWK;
  readonly app: AppContext;
  readonly outcome: EstablishOutcome;
}

async function tryEnrolment(
  context: RealmContext,
  { code, credentials, address, deviceStatic, signingKey, app, outcome }: Enrolment,
): Promise<{ result: EnrolResult; verdict: Verdict | undefined }> {
  let verdict: Verdict | undefined;
  const verify = async (holder: CodeHolder | undefined): Promise<CredentialCheck> => {
    const place = await findSignInPlace(context, holder?.user);
    const claimant = { user: holder?.user, place, address, installation: '', proven: holder?.secretFits === true };
    verdict = await verifyCredentials(context, claimant, credentials);
    return verdict.fit ? { why: '', ...verdict } : verdict;
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

/** Who does not have the code learns only that, but for a wait. */
function refusalAnswer(result: Extract<EnrolResult, { status: 'refused' }>, verdict: Verdict | undefined): LoginAnswer {
  if (!verdict || verdict.fit) return refused(result.code);
  if (result.code === 'CODE_INVALID' && verdict.code !== 'LOCKED') return refused(result.code);
  return refused(verdict.code, verdict.retryAfterMs);
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
