import {
  auditRefusal,
  type CodeHolder,
  type CredentialCheck,
  type EnrolResult,
  enrol,
  findCodeHolder,
  readSigningPlace,
  type SigningPlace,
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
} from '@sallyport/channel';
import { checkFacts } from '@sallyport/lease';
import { addressKey } from '@sallyport/settings';
import type { JWK } from 'jose';
import { type LoginAnswer, type LoginAttempt, type LoginStep, nameOf, refused, updateRootOf } from './answer.ts';
import { type PresentedCredentials, readCredentials } from './credentials.ts';
import { limited } from './lockout.ts';
import type { SignInParts } from './parts.ts';
import { proofFits, readSigningKey } from './proof.ts';
import { sealResume } from './resume.ts';
import { isRevokedVersion, type Verdict, whyDenied } from './verdict.ts';
import { verifyCredentials } from './verify.ts';

/** Handles HS3 of an enrolment; undefined when the handshake itself fails, which a wrong code is part of. */
export async function answerEnrolment(
  parts: SignInParts,
  attempt: LoginAttempt,
  siteMap: string,
): Promise<LoginStep | undefined> {
  const { establish, deviceStatic, address } = attempt;
  const code = establish.codeId!;
  const holder = await findCodeHolder(parts.access, code);
  // An unknown code takes as long as a wrong one, and leaves as little behind.
  const key = holder?.key ?? keyOf<CodeKey>(parts.access.crypto.randomBytes(KEY_BYTES));
  const fields = establish.tryKey(key);
  key.fill(0);
  if (!holder || !fields) return noteWrongCode(parts, address, holder !== undefined);
  const app = parseContext(fields.map('app'));
  const signingKey = readSigningKey(fields.map('hk'));
  if (!(await proofFits(establish, signingKey, fields.text('proof', 2_048), ''))) return undefined;
  const credentials = readCredentials(fields);
  const { place, rule, updateRoot } = await readSigningPlace(parts.access, parts.policies, {
    user: holder.user,
    appId: app.id,
  });
  const denied = checkFacts(rule, app);
  if (denied) {
    const reason = whyDenied(rule, app, denied);
    await auditRefusal(parts.access, {
      ...{ actor: whoOf(credentials), action: 'enrol', subject: 'activation code' },
      reason,
    });
    return { answer: refused(denied, 0, isRevokedVersion(rule, app) ? 'app' : undefined) };
  }
  const enrolment = {
    code,
    holder,
    place,
    credentials,
    address,
    deviceStatic,
    signingKey,
    app,
    outcome: establish.outcome,
  };
  const tried = await limited(parts.lockout, [`code ${code} ${addressKey(address)}`], {
    work: () => tryEnrolment(parts, enrolment),
    right: ({ result }) => (isUndecided(result) ? undefined : result.status === 'ok'),
  });
  if ('waitMs' in tried) return { answer: refused('LOCKED', tried.waitMs) };
  const { result, verdict } = tried.result;
  if (result.status === 'refused') return { answer: refusalAnswer(result, verdict) };
  if (verdict?.fit) await verdict.afterwards?.();
  const { id } = result.installation;
  const resume = sealResume(parts, result.installation, verdict?.fit ? verdict.signIn : undefined);
  const named = nameOf(holder.user);
  return {
    answer: {
      status: 'ok',
      ...named,
      iid: id,
      generation: 0,
      resume,
      site_map: siteMap,
      ...updateRootOf(parts.access, updateRoot),
      notices: [],
    },
  };
}

/**
 * A wrong secret burns nothing, since it cannot be guessed: whoever saw the id would else take the code from its user. It is
 * on record as strangers' refusals are.
 */
function noteWrongCode(parts: SignInParts, address: string, known: boolean): undefined {
  const why = known ? 'the secret of the activation code is wrong' : 'the activation code is unknown';
  parts.refusals.note({ action: 'enrol', subject: 'activation code', why, address });
}

interface Enrolment {
  readonly code: string;
  readonly holder: CodeHolder;
  readonly place: SigningPlace;
  readonly credentials: PresentedCredentials;
  readonly address: string;
  readonly deviceStatic: PublicKey;
  readonly signingKey: JWK;
  readonly app: AppContext;
  readonly outcome: EstablishOutcome;
}

async function tryEnrolment(
  parts: SignInParts,
  { code, holder, place, credentials, address, deviceStatic, signingKey, app, outcome }: Enrolment,
): Promise<{ result: EnrolResult; verdict: Verdict | undefined }> {
  let verdict: Verdict | undefined;
  const { user } = holder;
  const verify = async (): Promise<CredentialCheck> => {
    const claimant = { user, place, address, installation: undefined };
    verdict = await verifyCredentials(parts, claimant, credentials);
    if (verdict.fit) return { why: '', ...verdict };
    return { ...verdict, undecided: verdict.code === 'CONFIRMATION_NEEDED' };
  };
  const result = await enrol(parts.access, {
    code,
    user: whoOf(credentials),
    verify,
    deviceStatic: Uint8Array.from(deviceStatic),
    signingKey,
    sharedKey: deriveEnrolledKey(parts.access.crypto, outcome),
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
function whoOf(credentials: PresentedCredentials): string {
  if (credentials.kind === 'password') return credentials.user;
  return credentials.kind === 'oidc' ? `at ${credentials.directory}` : 'unknown';
}
