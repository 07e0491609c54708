import {
  checkContext,
  createSession,
  enrol,
  findInstallation,
  getRealm,
  type InstallationRow,
  type Json,
  type KeyCandidate,
  keyCandidates,
  PURPOSES,
  settingsOf,
  verifyPassword,
} from '@sallyport/access';
import {
  type AppContext,
  type CborFields,
  type CborInput,
  deriveEnrolledKey,
  formatBase64Url,
  type PublicKey,
  parseContext,
  parseHex,
  type SecurityEstablish,
  type SignedCode,
} from '@sallyport/channel';
import { compactVerify, importJWK, type JWK } from 'jose';
import type { RealmContext } from './realm-context.ts';

/** One handshake that has come to HS3. */
export interface LoginAttempt {
  readonly establish: SecurityEstablish;
  readonly deviceStatic: PublicKey;
  /** Address of the device as the Proxy saw it. */
  readonly address: string;
}

/** What HS4 says. */
export type LoginAnswer = Readonly<Record<string, CborInput>>;

function refused(code: SignedCode, retryAfterMs = 0): LoginAnswer {
  return { status: 'refused', code, retry_after: retryAfterMs };
}

/** Handles HS3 of an enrolment; undefined when the handshake itself fails. */
export async function answerEnrolment(
  context: RealmContext,
  attempt: LoginAttempt,
  siteMap: string,
): Promise<LoginAnswer | undefined> {
  const { establish, deviceStatic, address } = attempt;
  const fields = establish.tryKey(undefined);
  if (!fields) return undefined;
  const app = parseContext(fields.map('app'));
  const signingKey = readSigningKey(fields.map('hk'));
  if (!(await proofFits(establish, signingKey, fields.text('proof', 2_048), ''))) return undefined;
  const denied = await contextDenied(context, app);
  if (denied) return refused(denied);
  const { user, secret } = readPassword(fields);
  const code = fields.text('code', 64);
  const keys = [`user ${user} ${address}`, `code ${code.split('-', 1)[0]} ${address}`];
  const blockedMs = Math.max(...(await Promise.all(keys.map((key) => context.failureThrottle.blockedMs(key)))));
  if (blockedMs > 0) return refused('LOCKED', blockedMs);
  const result = await enrol(context.access, {
    code,
    user,
    password: secret,
    deviceStatic: Uint8Array.from(deviceStatic),
    signingKey: signingKey as unknown as Json,
    sharedKey: deriveEnrolledKey(context.access.crypto, establish.outcome),
    app: `${app.id}@${app.version}`,
    model: app.model,
  });
  if (result.status === 'refused') {
    await Promise.all(keys.map((key) => context.failureThrottle.take(key)));
    return refused(result.code);
  }
  const { id } = result.installation;
  return { status: 'ok', iid: id, generation: 0, ticket: ticketOf(context, id), site_map: siteMap, notices: [] };
}

/** Handles HS3 of a login; undefined when the handshake itself fails: unknown device, wrong key or wrong proof. */
export async function answerLogin(
  context: RealmContext,
  attempt: LoginAttempt,
  siteMap: string,
): Promise<LoginAnswer | undefined> {
  const { establish, deviceStatic, address } = attempt;
  const installation = await findInstallation(context.access, Uint8Array.from(deviceStatic));
  const opened = installation && openWithKeys(context, establish, installation);
  if (!installation || !opened) return undefined;
  const { fields, used } = opened;
  if (fields.text('iid', 64) !== installation.id) return undefined;
  const signingKey = installation.signingKey as unknown as JWK;
  if (!(await proofFits(establish, signingKey, fields.text('proof', 2_048), installation.id))) return undefined;
  const app = parseContext(fields.map('app'));
  const denied =
    (await contextDenied(context, app)) ?? (await credentialsDenied(context, { fields, installation, address }));
  if (denied) return typeof denied === 'string' ? refused(denied) : denied;
  const session = await createSession(context.access, {
    installationId: installation.id,
    used,
    outcome: establish.outcome,
    app: `${app.id}@${app.version}`,
  });
  if (!session) return refused('REVOKED');
  const { row, rotation } = session;
  return {
    status: 'ok',
    sid: session.sid,
    iid: installation.id,
    expires_in: row.expiresAt - row.createdAt,
    idle: row.expiresAt - row.createdAt,
    rotate: rotation.rotate,
    generation: rotation.generation,
    ticket: ticketOf(context, installation.id),
    limits: {},
    site_map: siteMap,
    notices: [],
  };
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

async function contextDenied(context: RealmContext, app: AppContext): Promise<SignedCode | undefined> {
  const settings = settingsOf(await context.access.store.transaction((transaction) => getRealm(transaction)));
  return checkContext(settings.context, app);
}

async function credentialsDenied(
  context: RealmContext,
  login: { fields: CborFields; installation: InstallationRow; address: string },
): Promise<LoginAnswer | undefined> {
  const { access, failureThrottle } = context;
  const found = await access.store.transaction(async (transaction) => ({
    user: await transaction.tables.users.find({ id: login.installation.userId }),
    settings: settingsOf(await getRealm(transaction)),
  }));
  if (!found.user?.enabled) return refused('REVOKED');
  if (!found.settings.loginNeedsPassword) return undefined;
  const { user, secret } = readPassword(login.fields);
  const key = `user ${found.user.name} ${login.address}`;
  const blockedMs = await failureThrottle.blockedMs(key);
  if (blockedMs > 0) return refused('LOCKED', blockedMs);
  const fits = await verifyPassword(access, found.user.name === user ? found.user : undefined, secret);
  if (fits) return undefined;
  await failureThrottle.take(key);
  context.log.info({ user: found.user.name, address: login.address }, 'a login was refused: credentials');
  return refused('CREDENTIALS_INVALID');
}

function readPassword(fields: CborFields): { user: string; secret: string } {
  const password = fields.optionalMap('cred')?.optionalMap('password');
  if (!password) return { user: '', secret: '' };
  return { user: password.text('user', 64), secret: password.text('secret', 256) };
}

function readSigningKey(fields: CborFields): JWK {
  return {
    kty: fields.text('kty', 8),
    crv: fields.text('crv', 16),
    x: fields.text('x', 64),
    y: fields.text('y', 64),
  } as JWK;
}

/** True when the proof is an ES256 signature over this very handshake by the installation's signing key. */
async function proofFits(establish: SecurityEstablish, jwk: JWK, proof: string, iid: string): Promise<boolean> {
  if (jwk.kty !== 'EC' || jwk.crv !== 'P-256') return false;
  try {
    const key = await importJWK(jwk, 'ES256');
    const { payload, protectedHeader } = await compactVerify(proof, key, { algorithms: ['ES256'] });
    if (protectedHeader.typ !== 'sallyport-proof') return false;
    const claims = JSON.parse(new TextDecoder().decode(payload)) as { b?: unknown; iid?: unknown };
    return claims.b === formatBase64Url(establish.binding) && claims.iid === iid;
  } catch {
    return false;
  }
}

function ticketOf({ access }: RealmContext, installationId: string): Uint8Array {
  return access.keyring.wrap(parseHex(installationId), PURPOSES.ticket(access.store.realm));
}

/** The installation id inside a ticket; undefined for none or a foreign one. A ticket grants nothing. */
export function openTicket({ access }: RealmContext, ticket: Uint8Array): string | undefined {
  try {
    return Buffer.from(access.keyring.unwrap(ticket, PURPOSES.ticket(access.store.realm))).toString('hex');
  } catch {
    return undefined;
  }
}
