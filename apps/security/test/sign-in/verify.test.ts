import {
  confirmBinding,
  type DirectoryRow,
  type IdentityRow,
  type InstallationRow,
  LOCKOUT,
  listAudit,
  listBindings,
  putDirectory,
  putUser,
  refuseBinding,
  type UserRow,
} from '@sallyport/access';
import { DirectoryError, type OidcSignIn, type PasswordOutcome } from '@sallyport/directory';
import { expect, test } from 'vitest';
import type { Connectors } from '../../src/directories/connectors.ts';
import { sealResume } from '../../src/sign-in/resume.ts';
import { type Claimant, verifyCredentials } from '../../src/sign-in/verify.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };
const NOT_NAMED = 'the name is not the one of the user';
const NOT_THE_USER = 'the account at the provider is not the one of the user';
const NO_PASSWORDS = 'corp does not take passwords here';
const WAITS =
  'the account at the provider does not name the user: an officer must confirm it (sallyport user bindings)';
const OUTAGE = new DirectoryError('ERR_DIRECTORY_UNREACHABLE', 'nobody answers');

/** Whether the device has proved that it is an installation of the user, or comes with a code. */
const PROVEN = { 'with a code': undefined, 'from an installation': { id: 'i1', resumeId: 'r1' } as InstallationRow };
type Proven = keyof typeof PROVEN;
const BOTH = Object.keys(PROVEN) as Proven[];

/** What the far ends of the network say. */
interface Far {
  password?: PasswordOutcome | Error;
  signIn?: Partial<OidcSignIn> | Error | undefined;
}

/** The inside of a Security server whose directories are at the far end of a network, and say what they are told to. */
async function begun(far: Far = {}) {
  const { context, clock } = await scene();
  const asked: string[] = [];
  const say = <T>(what: string, word: T | Error): T => {
    asked.push(what);
    if (word instanceof Error) throw word;
    return word;
  };
  const connectors = {
    ldap: ({ name }: DirectoryRow) => ({
      checkPassword: async (subject: string) => say(`${name} ${subject}`, far.password ?? 'right'),
    }),
    oidc: ({ name }: DirectoryRow) => ({
      redeem: async () => say(name, far.signIn instanceof Error ? far.signIn : { ...SIGN_IN, ...far.signIn }),
    }),
  } as unknown as Connectors;
  const parts = { ...context, keys: context.keys, connectors };
  const verify = (
    claimant: Partial<Claimant> & { user: UserRow },
    credentials: Parameters<typeof verifyCredentials>[2],
  ) =>
    verifyCredentials(
      parts,
      { place: NOWHERE, address: '10.0.0.1', installation: undefined, ...claimant },
      credentials,
    );
  return { access: context.access, context, clock, asked, far, verify };
}

const NOWHERE = { directory: undefined, identity: undefined };

const PLACES = {
  local: NOWHERE,
  ldap: {
    directory: { name: 'corp', kind: 'ldap' } as DirectoryRow,
    identity: { subject: 's-1', login: 'a.lovelace' } as IdentityRow,
  },
  'ldap, without an account': { directory: { name: 'corp', kind: 'ldap' } as DirectoryRow, identity: undefined },
  scim: { directory: { name: 'corp', kind: 'scim' } as DirectoryRow, identity: undefined },
  oidc: { directory: { name: 'corp', kind: 'oidc' } as DirectoryRow, identity: undefined },
};

const IN_CORP = { fit: true, signIn: { directory: 'corp' } };
const denied = (why: string) => ({ fit: false, code: 'CREDENTIALS_INVALID', why, retryAfterMs: 0 });

test.each([
  ['local', 'ada', 'right password', 'right', { fit: true }, []],
  ['local', ' ADA ', 'right password', 'right', { fit: true }, []],
  ['local', 'ada', 'another', 'right', denied('the password is wrong'), []],
  ['local', 'ada', '', 'right', denied('the password is wrong'), []],
  ['local', 'eve', 'right password', 'right', denied(NOT_NAMED), []],
  ['scim', 'ada', 'right password', 'right', denied(NO_PASSWORDS), []],
  ['oidc', 'ada', 'right password', 'right', denied(NO_PASSWORDS), []],
  ['ldap, without an account', 'ada', 'x', 'right', denied('the user has no account in corp'), []],
  ['ldap', 'eve', 'x', 'right', denied(NOT_NAMED), []],
  ['ldap', 'ada', 'x', 'right', IN_CORP, ['corp s-1']],
  ['ldap', 'A.Lovelace', 'x', 'right', IN_CORP, ['corp s-1']],
  ['ldap', 'ada', 'x', 'wrong', denied('the directory says that the password is wrong'), ['corp s-1']],
  ['ldap', 'ada', 'x', 'disabled', denied('the directory says that the account is disabled'), ['corp s-1']],
  [
    'ldap',
    'ada',
    'x',
    'expired',
    denied('the directory says that the account or its password has expired'),
    ['corp s-1'],
  ],
  ['ldap', 'ada', 'x', 'locked', denied('the directory has locked the account'), ['corp s-1']],
  ['ldap', 'ada', 'x', 'must change', denied('the directory wants the password changed first'), ['corp s-1']],
] as const)(
  'a password, %s, of %j with %j, where the directory says %j',
  async (at, typed, secret, word, verdict, far) => {
    for (const proven of BOTH) {
      const { access, asked, verify } = await begun({ password: word });
      const { user } = await putUser(access, 'ada', at === 'local' ? { password: 'right password' } : {}, BY);
      const claimant = { user, place: PLACES[at], installation: PROVEN[proven] };
      expect(await verify(claimant, { kind: 'password', user: typed, secret }), proven).toEqual(verdict);
      expect(asked, proven).toEqual(far);
    }
  },
);

test('a directory that does not answer is "later", never "wrong", and costs no try', async () => {
  const { access, verify } = await begun({ password: OUTAGE });
  const { user } = await putUser(access, 'ada', {}, BY);
  const password = { kind: 'password', user: 'ada', secret: 'x' } as const;
  for (let i = 0; i < 3 * LOCKOUT.free; i++)
    await expect(verify({ user, place: PLACES.ldap }, password)).rejects.toBe(OUTAGE);
});

test('who has tried too often hears when to come again, with the right password, too', async () => {
  const { access, verify } = await begun();
  const { user } = await putUser(access, 'ada', { password: 'right password' }, BY);
  const secret = (text: string) => ({ kind: 'password', user: 'ada', secret: text }) as const;
  for (let i = 0; i < LOCKOUT.free; i++) await verify({ user }, secret('a guess'));
  const verdict = await verify({ user }, secret('right password'));
  expect(verdict).toMatchObject({ fit: false, code: 'LOCKED', why: expect.stringMatching(/^locked out for \d+ s$/) });
  expect((verdict as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(0);
});

const SIGN_IN: OidcSignIn = {
  subject: 's-1',
  login: 'grace',
  email: undefined,
  displayName: 'Grace',
  groups: undefined,
  session: undefined,
  accessToken: 'token',
};
const LDAP = { servers: ['ldaps://corp'], flavour: 'standard' as const, bindDn: 'cn=reader', base: 'dc=corp' };
const GRANT = { code: 'c', verifier: 'v', redirect: 'app:/x', issuer: undefined };
const refusedBy = (reason: string) => new DirectoryError('ERR_DIRECTORY_REFUSED', 'refused', { reason });
const IN_IDP = { fit: true, signIn: { directory: 'idp' } };

type Scene = Awaited<ReturnType<typeof begun>>;

/** Somebody asks for an account from an enrolled device, so that an officer confirms it, or refuses. */
async function officer({ access, far, verify }: Scene, user: UserRow, subject: string, refuses = false): Promise<void> {
  const says = far.signIn;
  far.signIn = { subject, login: 'x' };
  const credentials = { kind: 'oidc', directory: 'idp', grant: GRANT } as const;
  await verify({ user, installation: PROVEN['from an installation'] }, credentials);
  far.signIn = says;
  const [waiting] = await listBindings(access, { limit: 10 });
  await (refuses ? refuseBinding : confirmBinding)(access, waiting!.binding.id, BY);
}

/** How things stand between the user grace, her account `s-1` and others, before she signs in. */
const STANDINGS = {
  'nobody has it': async () => undefined,
  'it is hers': (made: Scene, grace: UserRow) => officer(made, grace, 's-1'),
  'it is somebody else’s': async (made: Scene) =>
    officer(made, (await putUser(made.access, 'heidi', { directory: 'idp' }, BY)).user, 's-1'),
  'she has another': (made: Scene, grace: UserRow) => officer(made, grace, 's-0'),
  'an officer said no': (made: Scene, grace: UserRow) => officer(made, grace, 's-1', true),
};

const NOBODY = 'nobody has it';
const NO_PROVIDER = denied('there is no such provider');
const REFUSED = 'the sign-in at the provider is refused: ';
const CONFIRMATION = { fit: false, code: 'CONFIRMATION_NEEDED', why: WAITS, retryAfterMs: 0 };
const OFFICER_SAID_NO = denied('an officer said that the account at the provider is not the one of the user');

test.each([
  ['nowhere', {}, NOBODY, BOTH, NO_PROVIDER],
  ['staged', {}, NOBODY, BOTH, NO_PROVIDER],
  ['ldap', {}, NOBODY, BOTH, NO_PROVIDER],
  ['idp', refusedBy('acr'), 'it is hers', BOTH, { ...denied(`${REFUSED}acr`), code: 'STEP_UP' }],
  ['idp', refusedBy('amr'), 'it is hers', BOTH, { ...denied(`${REFUSED}amr`), code: 'STEP_UP' }],
  ['idp', refusedBy('nonce'), 'it is hers', BOTH, denied(`${REFUSED}nonce`)],
  ['idp', {}, 'it is hers', BOTH, IN_IDP],
  ['idp', { session: 'p-1' }, 'it is hers', BOTH, { fit: true, signIn: { directory: 'idp', providerSession: 'p-1' } }],
  ['idp', {}, 'it is somebody else’s', BOTH, denied(NOT_THE_USER)],
  ['idp', {}, 'she has another', BOTH, denied(NOT_THE_USER)],
  ['idp', {}, NOBODY, ['with a code'], IN_IDP],
  ['idp', {}, NOBODY, ['from an installation'], CONFIRMATION],
  ['idp', { login: 'mallory' }, NOBODY, BOTH, CONFIRMATION],
  ['idp', { login: 'mallory' }, 'an officer said no', BOTH, OFFICER_SAID_NO],
  ['idp', {}, 'an officer said no', ['from an installation'], OFFICER_SAID_NO],
] as const)(
  'an account at the provider %s that says %j, when %s, %j',
  async (directory, says, standing, proofs, verdict) => {
    for (const proven of proofs) {
      const made = await begun({ signIn: says });
      const { access, asked, verify } = made;
      const settings = { issuer: 'https://idp.example', clientId: 'c', redirects: ['app:/x'] };
      for (const [name, stage] of [
        ['idp', 'active'],
        ['staged', 'staged'],
      ] as const)
        await putDirectory(access, name, { kind: 'oidc', stage, settings }, BY);
      await putDirectory(access, 'ldap', { kind: 'ldap', stage: 'active', settings: LDAP }, BY);
      const { user } = await putUser(access, 'grace', { directory: 'idp' }, BY);
      await STANDINGS[standing](made, user);
      asked.length = 0;
      const credentials = { kind: 'oidc', directory, grant: GRANT } as const;
      expect(await verify({ user, installation: PROVEN[proven] }, credentials), proven).toMatchObject(verdict);
      expect(asked, proven).toEqual(directory === 'idp' ? ['idp'] : []);
    }
  },
);

test('a user who signs in here is nobody with an account at a provider', async () => {
  const { access, verify } = await begun({ signIn: { login: 'ada' } });
  const settings = { issuer: 'https://idp.example', clientId: 'c', redirects: ['app:/x'] };
  await putDirectory(access, 'idp', { kind: 'oidc', stage: 'active', settings }, BY);
  const { user } = await putUser(access, 'ada', { password: 'right password' }, BY);
  expect(await verify({ user }, { kind: 'oidc', directory: 'idp', grant: GRANT })).toEqual(denied(NOT_THE_USER));
});

test('who asks for an account that does not name them is on record', async () => {
  const { access, verify } = await begun({ signIn: { login: 'mallory' } });
  const settings = { issuer: 'https://idp.example', clientId: 'c', redirects: ['app:/x'] };
  await putDirectory(access, 'idp', { kind: 'oidc', stage: 'active', settings }, BY);
  const { user } = await putUser(access, 'grace', { directory: 'idp' }, BY);
  await verify({ user }, { kind: 'oidc', directory: 'idp', grant: GRANT });
  const [event] = await access.store.transaction((transaction) => listAudit(transaction, 1));
  expect(event).toMatchObject({ action: 'identity.ask', subject: 'grace at idp', outcome: 'refused', actor: 'grace' });
});

test('a provider that does not answer is "later", never "wrong"', async () => {
  const { access, verify } = await begun({ signIn: OUTAGE });
  const settings = { issuer: 'https://idp.example', clientId: 'c', redirects: ['app:/x'] };
  await putDirectory(access, 'idp', { kind: 'oidc', stage: 'active', settings }, BY);
  const { user } = await putUser(access, 'grace', { directory: 'idp' }, BY);
  await expect(verify({ user }, { kind: 'oidc', directory: 'idp', grant: GRANT })).rejects.toBe(OUTAGE);
});

const PROOF_OVER = denied('the proof of the enrolment is over');
const MINUTE_MS = 60_000;

test.each([
  ['its installation, at once', 'r1', 'i1', 0, { fit: true, resumeId: 'r1', signIn: { directory: 'idp' } }],
  ['its installation, in the fifth minute', 'r1', 'i1', 5 * MINUTE_MS, { fit: true, resumeId: 'r1' }],
  ['its installation, later', 'r1', 'i1', 5 * MINUTE_MS + 1, PROOF_OVER],
  ['its installation, which has used it', null, 'i1', 0, PROOF_OVER],
  ['another installation', 'r1', 'i2', 0, PROOF_OVER],
  ['nobody yet', 'r1', undefined, 0, PROOF_OVER],
] as const)('the proof of an enrolment from %s', async (_, resumeId, id, laterMs, verdict) => {
  const { access, context, clock, verify } = await begun();
  const { user } = await putUser(access, 'ada', {}, BY);
  const token = sealResume(context, PROVEN['from an installation']!, { directory: 'idp' });
  clock.now += laterMs;
  const installation = id === undefined ? undefined : ({ id, resumeId } as InstallationRow);
  expect(await verify({ user, installation }, { kind: 'resume', token })).toMatchObject(verdict);
  const damaged = token.with(3, token[3]! ^ 1);
  expect(await verify({ user, installation }, { kind: 'resume', token: damaged })).toEqual(PROOF_OVER);
});

test('who brings nothing is nobody', async () => {
  const { access, verify } = await begun();
  const { user } = await putUser(access, 'ada', {}, BY);
  for (const proven of BOTH)
    expect(await verify({ user, installation: PROVEN[proven] }, { kind: 'none' })).toEqual(denied('no credentials'));
});
