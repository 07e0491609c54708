import {
  type DirectoryRow,
  type DirectorySignIn,
  findDirectory,
  type IdentityRow,
  type InstallationRow,
  type SigningPlace,
  setAccountGroups,
  settleAccount,
  type UserRow,
  verifyPassword,
} from '@sallyport/access';
import { DirectoryError, type OidcSignIn, type PasswordOutcome } from '@sallyport/directory';
import { addressKey } from '@sallyport/settings';
import type { PresentedCredentials } from './credentials.ts';
import { delegatedTokens } from './delegation.ts';
import { limited } from './lockout.ts';
import type { SignInParts } from './parts.ts';
import { openResume } from './resume.ts';
import { type Refusal, refusal, type Verdict } from './verdict.ts';

/** Whose credentials are checked. */
export interface Claimant {
  /** The user whom code or device belongs to. */
  readonly user: UserRow;
  readonly place: SigningPlace;
  /** Address of the device. */
  readonly address: string;
  /** The installation, which has proved itself; undefined while it enrols. */
  readonly installation: InstallationRow | undefined;
}

/**
 * Checks credentials the way the user's directory wants it. Nothing of them is kept.
 * @throws DirectoryError when a directory does not answer: that is "later", never "wrong"
 */
export async function verifyCredentials(
  parts: SignInParts,
  of: Claimant,
  credentials: PresentedCredentials,
): Promise<Verdict> {
  switch (credentials.kind) {
    case 'none':
      return refusal('CREDENTIALS_INVALID', 'no credentials');
    case 'resume':
      return verifyResume(parts, of, credentials.token);
    case 'password':
      return verifyWithLockout(parts, of, credentials);
    case 'oidc':
      return verifyOidc(parts, of, credentials);
  }
}

function verifyResume(parts: SignInParts, { installation }: Claimant, token: Uint8Array): Verdict {
  const resume = installation && openResume(parts, installation, token);
  if (!resume) return refusal('CREDENTIALS_INVALID', 'the proof of the enrolment is over');
  return { fit: true, resumeId: resume.id, ...(resume.signIn ? { signIn: resume.signIn } : {}) };
}

type Password = Extract<PresentedCredentials, { kind: 'password' }>;

/**
 * Failures count for user and address together: nobody can lock out somebody else from another address. Those of a device
 * that has proved itself count for user and device, too, from wherever: a stolen one gets no more guesses by moving about.
 */
async function verifyWithLockout(parts: SignInParts, of: Claimant, password: Password): Promise<Verdict> {
  const { name } = of.user;
  const device = of.installation ? [`user ${name} device ${of.installation.id}`] : [];
  const tried = await limited(parts.lockout, [`user ${name} ${addressKey(of.address)}`, ...device], {
    work: () => verifyPasswordOf(parts, of, password),
    right: ({ fit }) => fit,
  });
  if ('result' in tried) return tried.result;
  return refusal('LOCKED', `locked out for ${Math.ceil(tried.waitMs / 1_000)} s`, tried.waitMs);
}

async function verifyPasswordOf(parts: SignInParts, of: Claimant, { user: typed, secret }: Password): Promise<Verdict> {
  const { access } = parts;
  const { user, place } = of;
  const named = isNamed(user, place.identity, typed) ? user : undefined;
  if (!place.directory) {
    if (await verifyPassword(access, named, secret)) return { fit: true };
    return refusal('CREDENTIALS_INVALID', named ? 'the password is wrong' : 'the name is not the one of the user');
  }
  if (!named) return refusal('CREDENTIALS_INVALID', 'the name is not the one of the user');
  const { directory, identity } = place;
  if (directory.kind !== 'ldap')
    return refusal('CREDENTIALS_INVALID', `${directory.name} does not take passwords here`);
  if (!identity) return refusal('CREDENTIALS_INVALID', `the user has no account in ${directory.name}`);
  return passwordVerdict(directory, await parts.connectors.ldap(directory).checkPassword(identity.subject, secret));
}

function isNamed(user: UserRow, identity: IdentityRow | undefined, typed: string): boolean {
  const name = typed.trim().toLowerCase();
  return name === user.name || name === identity?.login;
}

const PASSWORD_WORDS: Readonly<Record<Exclude<PasswordOutcome, 'right'>, string>> = {
  wrong: 'the directory says that the password is wrong',
  disabled: 'the directory says that the account is disabled',
  expired: 'the directory says that the account or its password has expired',
  locked: 'the directory has locked the account',
  'must change': 'the directory wants the password changed first',
};

function passwordVerdict({ name }: DirectoryRow, outcome: PasswordOutcome): Verdict {
  if (outcome === 'right') return { fit: true, signIn: { directory: name } };
  return refusal('CREDENTIALS_INVALID', PASSWORD_WORDS[outcome]);
}

async function verifyOidc(
  parts: SignInParts,
  of: Claimant,
  { directory: name, grant }: Extract<PresentedCredentials, { kind: 'oidc' }>,
): Promise<Verdict> {
  const row = await findDirectory(parts.access, name);
  if (row?.kind !== 'oidc' || row.stage !== 'active')
    return refusal('CREDENTIALS_INVALID', 'there is no such provider');
  const signedIn = await parts.connectors.oidc(row).redeem(grant).catch(refusalOf);
  if ('fit' in signedIn) return signedIn;
  const { subject, login, email } = signedIn;
  const claims = { directory: name, subject, login, email };
  const settled = await settleAccount(parts.access, of.user, claims, { withCode: of.installation === undefined });
  if (settled.kind === 'refused') return refusal('CREDENTIALS_INVALID', settled.why);
  if (settled.kind === 'waits') return refusal('CONFIRMATION_NEEDED', WAITS_FOR_OFFICER);
  const bringGroups = (): Promise<void> => takeGroups(parts, { row, user: of.user, signedIn });
  if (settled.kind === 'own') await bringGroups();
  const vouched = { fit: true, signIn: await providerSignIn(parts, row, signedIn) } as const;
  if (settled.kind === 'own') return vouched;
  return { ...vouched, account: { directory: name, subject, login }, afterwards: bringGroups };
}

const WAITS_FOR_OFFICER =
  'the account at the provider does not name the user: an officer must confirm it (sallyport user bindings)';

/** What the session keeps of a sign-in at a provider. */
async function providerSignIn(
  parts: SignInParts,
  row: DirectoryRow,
  { accessToken, session }: OidcSignIn,
): Promise<DirectorySignIn> {
  const delegated = await delegatedTokens(parts, row, accessToken);
  return {
    directory: row.name,
    ...(session === undefined ? {} : { providerSession: session }),
    ...(delegated === undefined ? {} : { delegated }),
  };
}

/** What a provider refused, by the name of the check; an outage is no refusal. */
function refusalOf(error: unknown): Refusal {
  if (!(error instanceof DirectoryError) || error.code !== 'ERR_DIRECTORY_REFUSED') throw error;
  const stronger = error.reason === 'acr' || error.reason === 'amr';
  return refusal(
    stronger ? 'STEP_UP' : 'CREDENTIALS_INVALID',
    `the sign-in at the provider is refused: ${error.reason}`,
  );
}

/** Groups that the provider says the user has; those of a directory that pushes its accounts come from there. */
async function takeGroups(
  { access, bus }: SignInParts,
  { row, user, signedIn }: { row: DirectoryRow; user: UserRow; signedIn: OidcSignIn },
): Promise<void> {
  const isPushed = row.kind === 'oidc' && row.settings.accounts !== undefined;
  if (isPushed || !signedIn.groups) return;
  const by = { actor: user.name, reason: `groups at the sign-in at ${row.name}` };
  const account = { directory: row.name, subject: signedIn.subject };
  if ((await setAccountGroups(access, account, signedIn.groups, by)) > 0) bus.publish('entries');
}
