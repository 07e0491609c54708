import { auditRefusal, type CodeHolder, type CredentialCheck, enrol, type Json } from '@sallyport/access';
import { deriveEnrolledKey, parseContext } from '@sallyport/channel';
import type { RealmContext } from '../realm-context.ts';
import {
  contextDenied,
  type LoginAttempt,
  type LoginStep,
  proofFits,
  readSigningKey,
  refused,
  ticketOf,
} from './attempt.ts';
import { type Credentials, readCredentials } from './credentials.ts';
import { findSignInPlace } from './place.ts';
import { sealResume } from './resume.ts';
import type { Refusal, Verdict } from './verdict.ts';
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
  const who = whoOf(credentials);
  const denied = await contextDenied(context, app);
  if (denied) return { answer: await refuseContext(context, { who, denied }) };
  const code = fields.text('code', 64);
  const codeKey = `code ${code.split('-', 1)[0]} ${address}`;
  const blockedMs = await context.lockout.blockedMs(codeKey);
  if (blockedMs > 0) return { answer: refused('LOCKED', blockedMs) };
  let verdict: Verdict | undefined;
  const verify = async (holder: CodeHolder | undefined): Promise<CredentialCheck> => {
    const place = await findSignInPlace(context, holder?.user);
    const claimant = { user: holder?.user, place, address, installation: '', proven: holder?.secretFits === true };
    verdict = await verifyCredentials(context, claimant, credentials);
    return verdict.fit ? { why: '', ...verdict } : verdict;
  };
  const result = await enrol(context.access, {
    code,
    user: who,
    verify,
    deviceStatic: Uint8Array.from(deviceStatic),
    signingKey: signingKey as unknown as Json,
    sharedKey: deriveEnrolledKey(context.access.crypto, establish.outcome),
    app: `${app.id}@${app.version}`,
    model: app.model,
  });
  if (result.status === 'refused') {
    await context.lockout.fail(codeKey);
    const { retryAfterMs, code: why } = refusalOf(verdict) ?? { retryAfterMs: 0, code: result.code };
    return { answer: refused(result.code === 'CODE_INVALID' && why !== 'LOCKED' ? result.code : why, retryAfterMs) };
  }
  if (verdict?.fit) await verdict.afterwards?.();
  const { id } = result.installation;
  const resume = sealResume(context, id, verdict?.fit ? verdict.signIn : undefined);
  const ticket = ticketOf(context, id);
  return { answer: { status: 'ok', iid: id, generation: 0, ticket, resume, site_map: siteMap, notices: [] } };
}

function refusalOf(verdict: Verdict | undefined): Refusal | undefined {
  return verdict && !verdict.fit ? verdict : undefined;
}

/** Who a device says it is, for the audit log. */
function whoOf(credentials: Credentials): string {
  if (credentials.kind === 'password') return credentials.user;
  return credentials.kind === 'oidc' ? `at ${credentials.directory}` : 'unknown';
}

async function refuseContext(
  { access }: RealmContext,
  { who, denied }: { who: string; denied: Parameters<typeof refused>[0] },
) {
  const reason = `the app context is refused: ${denied}`;
  await auditRefusal(access, { actor: who, action: 'enrol', subject: 'activation code', reason });
  return refused(denied);
}
