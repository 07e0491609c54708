import {
  accountsOf,
  bindIdentity,
  claimBinding,
  type DirectoryRow,
  findIdentity,
  type IdentityRow,
  type InstallationRow,
  setAccountGroups,
  type UserRow,
  verifyPassword,
  whoSignedIn,
} from '@sallyport/access';
import { DirectoryError, type OidcSignIn, type PasswordOutcome } from '@sallyport/directory';
import type { OidcSettings } from '@sallyport/security-api';
import { addressKey } from '@sallyport/settings';
import type { RealmContext } from '../realm-context.ts';
import type { Credentials } from './credentials.ts';
import { delegatedTokens } from './delegation.ts';
import { limited } from './limited.ts';
import type { SignInPlace } from './place.ts';
import { openResume } from './resume.ts';
import { type Refusal, refusal, type Verdict } from './verdict.ts';

/** Whose credentials are checked. */
export interface Claimant {
  /** The user whom code or device belongs to. */
  readonly user: UserRow;
  readonly place: SignInPlace;
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
  context: RealmContext,
  of: Claimant,
  credentials: Credentials,
): Promise<Verdict> {
  switch (credentials.kind) {
    case 'none':
      return refusal('CREDENTIALS_INVALID', 'no credentials');
    case 'resume':
      return verifyResume(context, of, credentials.token);
    case 'password':
      return verifyWithLockout(context, of, credentials);
    case 'oidc':
      return verifyOidc(context, of, credentials);
  }
}

function verifyResume(context: RealmContext, { installation }: Claimant, token: Uint8Array): Verdict {
  const resume = installation && openResume(context, installation, token);
  if (!resume) return refusal('CREDENTIALS_INVALID', 'the proof of the enrolment is over');
  return { fit: true, resumeId: resume.id, ...(resume.signIn ? { signIn: resume.signIn } : {}) };
}

type Password = Extract<Credentials, { kind: 'password' }>;

/**
 * Failures count for user and address together: nobody can lock out somebody else from another address. Those of a device
 * that has proved itself count for user and device, too, from wherever: a stolen one gets no more guesses by moving about.
 */
async function verifyWithLockout(context: RealmContext, of: Claimant, password: Password): Promise<Verdict> {
  const { name } = of.user;
  const device = of.installation ? [`user ${name} device ${of.installation.id}`] : [];
  const tried = await limited(context.lockout, [`user ${name} ${addressKey(of.address)}`, ...device], {
    work: () => verifyPasswordOf(context, of, password),
    right: ({ fit }) => fit,
  });
  if ('result' in tried) return tried.result;
  return refusal('LOCKED', `locked out for ${Math.ceil(tried.waitMs / 1_000)} s`, tried.waitMs);
}

async function verifyPasswordOf(
  context: RealmContext,
  of: Claimant,
  { user: typed, secret }: Password,
): Promise<Verdict> {
  const { access } = context;
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
  return passwordVerdict(directory, await context.connectors.ldap(directory).checkPassword(identity.subject, secret));
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
  context: RealmContext,
  of: Claimant,
  { directory: name, grant }: Extract<Credentials, { kind: 'oidc' }>,
): Promise<Verdict> {
  const { user } = of;
  const row = await context.access.store.transaction(({ tables }) => tables.directories.find({ name }));
  if (row?.kind !== 'oidc' || row.stage !== 'active')
    return refusal('CREDENTIALS_INVALID', 'there is no such provider');
  const connector = context.connectors.oidc(row);
  const signedIn = await connector.redeem(grant).catch(refusalOf);
  if ('fit' in signedIn) return signedIn;
  const place = { row, user, signedIn };
  const settled = await settleAccount(context, place);
  if (settled !== 'known' && settled !== 'unbound') return settled;
  const unnamed = settled === 'unbound' ? await refuseUnnamed(context, place, of.installation) : undefined;
  if (unnamed) return unnamed;
  if (settled === 'known') await takeGroups(context, place);
  const delegated = await delegatedTokens(context, row, signedIn.accessToken);
  const session = signedIn.session === undefined ? {} : { providerSession: signedIn.session };
  const signIn = { directory: name, ...session, ...(delegated === undefined ? {} : { delegated }) };
  const { subject, login } = signedIn;
  return {
    fit: true,
    signIn,
    ...(settled === 'unbound'
      ? {
          bind: (transaction) => bindIdentity(context.access, transaction, { directory: name, subject, login, user }),
          afterwards: () => takeGroups(context, place),
        }
      : {}),
  };
}

const NOT_THE_USER = 'the account at the provider is not the one of the user';

/** What a provider refused, by the name of the check; an outage is no refusal. */
function refusalOf(error: unknown): Refusal {
  if (!(error instanceof DirectoryError) || error.code !== 'ERR_DIRECTORY_REFUSED') throw error;
  const stronger = error.reason === 'acr' || error.reason === 'amr';
  return refusal(
    stronger ? 'STEP_UP' : 'CREDENTIALS_INVALID',
    `the sign-in at the provider is refused: ${error.reason}`,
  );
}

interface OidcPlace {
  readonly row: DirectoryRow;
  readonly user: UserRow;
  readonly signedIn: OidcSignIn;
}

/** Whether the account at the provider is the user's, by its id alone; `unbound` when neither has the other yet. */
async function settleAccount(
  { access }: RealmContext,
  { row, user, signedIn }: OidcPlace,
): Promise<'known' | 'unbound' | Refusal> {
  return access.store.transaction(async (transaction) => {
    const who = await whoSignedIn(transaction, row, signedIn.subject);
    if (who.kind === 'refused') return refusal('CREDENTIALS_INVALID', who.why);
    if (who.kind === 'user') return who.user.id === user.id ? 'known' : refusal('CREDENTIALS_INVALID', NOT_THE_USER);
    const other = await findIdentity(transaction, row.name, user.id);
    const mayBind = !who.account && accountsOf(row) === row.name && user.directory === row.name && !other;
    return mayBind ? 'unbound' : refusal('CREDENTIALS_INVALID', NOT_THE_USER);
  });
}

const BINDING_WORDS = {
  waits: 'the account at the provider does not name the user: an officer must confirm it (sallyport user bindings)',
  refused: 'an officer said that the account at the provider is not the one of the user',
} as const;

/**
 * Whether an account that is nobody's may become the user's: its claims name them, and the device shows their activation code. Else
 * it waits for an officer.
 */
async function refuseUnnamed(
  { access }: RealmContext,
  { row, user, signedIn }: OidcPlace,
  installation: InstallationRow | undefined,
): Promise<Refusal | undefined> {
  const { subject, login, email } = signedIn;
  const claims = { directory: row.name, subject, login, email };
  const state = await claimBinding(access, user, claims, { withCode: installation === undefined });
  if (state === 'named') return undefined;
  return refusal(state === 'waits' ? 'CONFIRMATION_NEEDED' : 'CREDENTIALS_INVALID', BINDING_WORDS[state]);
}

/** Groups that the provider says the user has; those of a directory that pushes its accounts come from there. */
async function takeGroups({ access, bus }: RealmContext, { row, user, signedIn }: OidcPlace): Promise<void> {
  const { accounts } = row.settings as unknown as OidcSettings;
  if (accounts !== undefined || !signedIn.groups) return;
  const by = { actor: user.name, reason: `groups at the sign-in at ${row.name}` };
  const account = { directory: row.name, subject: signedIn.subject };
  if ((await setAccountGroups(access, account, signedIn.groups, by)) > 0) bus.publish('entries');
}
