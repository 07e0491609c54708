import type { SharedKey } from '@sallyport/channel';
import type { EvidenceRow } from '../attestation/rows.ts';
import { bindIdentity, type FreeAccount } from '../identity/identities.ts';
import { tryCode } from '../people/codes.ts';
import type { CodeRow, UserRow } from '../people/rows.ts';
import { namesOf } from '../people/users.ts';
import { appendAudit } from '../realm/audit.ts';
import type { AccessContext } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import type { Transaction } from '../store/store.ts';
import type { InstallationRow, PublicJwk } from './rows.ts';

/** What a device asks for when it enrols; the code's secret and its proof were checked already. */
export interface EnrolRequest {
  /** Public part of the activation code. */
  readonly code: string;
  /** Who it says it is; for the audit log. */
  readonly user: string;
  /** Checks the credentials against the code's holder. */
  readonly verify: () => Promise<CredentialCheck>;
  readonly deviceStatic: Uint8Array;
  readonly signingKey: PublicJwk;
  readonly sharedKey: SharedKey;
  readonly app: string;
  readonly model: string;
}

/** Whether credentials fit, and why not; `account` is one at a provider that is to be the user's once the code has proved good. */
export interface CredentialCheck {
  readonly fit: boolean;
  /** They are neither right nor wrong before an officer has said so: that costs no try of the code. */
  readonly undecided?: boolean;
  readonly why: string;
  readonly account?: FreeAccount;
}

/** The new installation, or why there is none; the audit log says more. */
export type EnrolResult =
  | { readonly status: 'ok'; readonly installation: InstallationRow }
  | { readonly status: 'refused'; readonly code: 'CODE_INVALID' | 'CONFIRMATION_NEEDED' | 'CREDENTIALS_INVALID' };

/**
 * Enrols an installation as pending. Repeating with the same code and signing key replaces a pending row, so that an
 * answer that was lost strands nobody.
 */
export async function enrol(access: AccessContext, request: EnrolRequest): Promise<EnrolResult> {
  const { fit, undecided = false, why, account } = await request.verify();
  return access.store.transaction(async (transaction) => {
    const good = await tryUsersCode(transaction, { id: request.code, wrong: !fit && !undecided });
    const held = fit ? good : undefined;
    const isBound = held && (!account || (await bindByCode(access, transaction, { ...account, user: held.user })));
    const installation = isBound && (await placeInstallation(access, transaction, held.code, request));
    const at = transaction.now();
    const event = { actor: request.user, action: 'enrol', at };
    if (!installation) {
      const refusedAs = refusalOf({ fit, undecided, good: good !== undefined });
      const reason = refusedAs === 'CODE_INVALID' ? 'the activation code is not good' : why;
      await appendAudit(transaction, access.crypto, {
        ...event,
        reason,
        subject: 'activation code',
        outcome: 'refused',
      });
      return { status: 'refused', code: refusedAs };
    }
    await appendAudit(transaction, access.crypto, { ...event, reason: '', subject: installation.id, outcome: 'done' });
    return { status: 'ok', installation };
  });
}

/** Binds an account whose claims name the user, with a code of theirs; false when account or user are bound otherwise. */
async function bindByCode(
  access: AccessContext,
  transaction: Transaction,
  account: FreeAccount & { readonly user: UserRow },
): Promise<boolean> {
  const binding = await bindIdentity(transaction, account);
  if (binding === 'bound') {
    const { user, directory } = account;
    const event = { actor: user.name, reason: 'first sign-in with an activation code', action: 'identity.bind' };
    const done = { subject: `${user.name} at ${directory}`, outcome: 'done', at: transaction.now() } as const;
    await appendAudit(transaction, access.crypto, { ...event, ...done });
  }
  return binding !== 'taken';
}

/** Wrong credentials are said before a code that is not good; who waits for an officer has a good one. */
function refusalOf(of: {
  readonly fit: boolean;
  readonly undecided: boolean;
  readonly good: boolean;
}): Extract<EnrolResult, { status: 'refused' }>['code'] {
  if (of.fit) return 'CODE_INVALID';
  if (!of.undecided) return 'CREDENTIALS_INVALID';
  return of.good ? 'CONFIRMATION_NEEDED' : 'CODE_INVALID';
}

/**
 * `tryCode` for a user who is in. Who ends a user locks that row first, and would not see an installation that is not
 * committed yet; so the user is locked before the code.
 */
async function tryUsersCode(
  transaction: Transaction,
  attempt: { readonly id: string; readonly wrong: boolean },
): Promise<{ readonly code: CodeRow; readonly user: UserRow } | undefined> {
  const { codes, users } = transaction.tables;
  const known = await codes.find({ id: attempt.id });
  const user = known && (await users.find({ id: known.userId }, 'share'));
  const code = user?.enabled ? await tryCode(transaction, attempt) : undefined;
  return user && code && { code, user };
}

async function placeInstallation(
  access: AccessContext,
  transaction: Transaction,
  code: CodeRow,
  request: EnrolRequest,
): Promise<InstallationRow | undefined> {
  const { installations, codes } = transaction.tables;
  const before =
    code.installationId === null ? undefined : await installations.find({ id: code.installationId }, 'update');
  if (code.usedAt !== null && !isRepeat(before, request)) return undefined;
  const row = newInstallation(access, request, {
    id: before?.id ?? randomId(access.crypto),
    userId: code.userId,
    at: transaction.now(),
  });
  if (before) await installations.remove({ where: { id: before.id } });
  if (await installations.find({ deviceStatic: request.deviceStatic })) return undefined;
  await installations.insert(row);
  await codes.update({ where: { id: code.id } }, { usedAt: transaction.now(), installationId: row.id });
  return row;
}

function isRepeat(before: InstallationRow | undefined, request: EnrolRequest): boolean {
  return before?.status === 'pending' && JSON.stringify(before.signingKey) === JSON.stringify(request.signingKey);
}

function newInstallation(
  access: AccessContext,
  request: EnrolRequest,
  { id, userId, at }: { id: string; userId: string; at: number },
): InstallationRow {
  return {
    id,
    userId,
    deviceStatic: request.deviceStatic,
    signingKey: request.signingKey,
    status: 'pending',
    generation: 0,
    currentKey: access.keyring.wrap(request.sharedKey, PURPOSES.sharedKey(access.store.realm, id)),
    nextKey: null,
    previousKey: null,
    rotatedAt: at,
    app: request.app,
    model: request.model,
    createdAt: at,
    lastSeenAt: null,
    resumeId: randomId(access.crypto),
  };
}

/** An installation with its user's name. */
export interface NamedInstallation {
  readonly installation: InstallationRow;
  readonly user: string;
  /** Its newest evidence. */
  readonly evidence: EvidenceRow | undefined;
}

/** A page of installations in the order of their ids; `after` is the last id of the page before. */
export async function listInstallations(
  access: AccessContext,
  { after = '', limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<NamedInstallation[]> {
  return access.store.transaction(async (transaction) => {
    const { installations, evidence } = transaction.tables;
    const rows = await installations.list({ above: ['id', after], limit });
    const users = rows.map(({ userId }) => userId);
    const [names, proofs] = await Promise.all([
      namesOf(transaction, users),
      evidence.list({ among: ['installationId', rows.map(({ id }) => id)] }),
    ]);
    const proofOf = new Map(proofs.map((row) => [row.installationId, row]));
    return rows.map((installation) => {
      const { id, userId } = installation;
      return { installation, user: names.get(userId) ?? userId, evidence: proofOf.get(id) };
    });
  });
}
