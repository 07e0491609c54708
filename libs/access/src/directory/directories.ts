import { decodeText, encodeText } from '@sallyport/channel';
import type { LdapSettings, OidcSettings } from '@sallyport/security-api';
import { checkMapFits, siteMapBytes } from '../farm/site-map.ts';
import { certificatesIn } from '../realm/certificates-in.ts';
import { change as changeRealm } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { bumpMapVersion } from '../realm/realm.ts';
import { isOurToken, makeToken } from '../realm/tokens.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { Transaction } from '../store/store.ts';
import type { DirectoryRow, DirectorySettings } from './rows.ts';

/** What an operator says of a directory. Secrets that are absent stay as they are, while they go where they went. */
export type DirectoryChange = DirectorySettings & {
  readonly stage: DirectoryRow['stage'];
  readonly secrets?: Readonly<Record<string, string>>;
};

/**
 * Creates a directory or changes it. @throws AccessError ERR_ACCESS_CONFLICT when it is of another kind, ERR_ACCESS_INVALID
 * when a stored secret would go to other servers, its CA is no certificate, or no device would take the site map behind it
 */
export async function putDirectory(
  access: AccessContext,
  name: string,
  said: DirectoryChange,
  by: Actor,
): Promise<DirectoryRow> {
  const change = withCertificatesAlone(name, said);
  return changeRealm(access, by, async (begun) => {
    await bumpMapVersion(begun);
    const { directories } = begun.tables;
    const bytes = await siteMapBytes(begun, access.store.realm);
    const before = await directories.find({ name }, 'update');
    if (before && before.kind !== change.kind)
      throw new AccessError('ERR_ACCESS_CONFLICT', `${name} is there already, of kind ${before.kind}`);
    await checkNamespace(begun, before, change);
    if (!change.secrets) checkDestination(before, change);
    const secret = change.secrets ? wrapSecrets(access, name, change.secrets) : (before?.secret ?? null);
    const { secrets: _, ...said } = withMapping(before, change);
    const fresh = { state: {}, runId: null, runNode: '', runBeat: 0, createdAt: begun.at };
    const row: DirectoryRow = { ...fresh, ...before, ...said, name, secret };
    if (before) await directories.update({ where: { name } }, { ...said, secret });
    else await directories.insert(row);
    await checkMapFits(begun, access.store.realm, bytes);
    begun.audit(before ? 'directory.change' : 'directory.create', name);
    return row;
  });
}

/** A directory is known by certificates, and by nothing else that stood beside them. @throws AccessError ERR_ACCESS_INVALID */
function withCertificatesAlone<Said extends DirectorySettings>(name: string, said: Said): Said {
  const { ca } = said.settings as Partial<LdapSettings & OidcSettings>;
  if (ca === undefined) return said;
  return { ...said, settings: { ...said.settings, ca: certificatesIn(ca, `the CA of ${name}`) } };
}

/** Groups that an operator mapped stay mapped, unless the change says something of them. */
function withMapping(before: DirectoryRow | undefined, change: DirectoryChange): DirectoryChange {
  const groups = before?.settings.groups;
  return groups === undefined || 'groups' in change.settings ? change : withGroups(change, groups);
}

/** The same settings, of whatever kind they are, with groups of the realm by the subjects of the directory's groups. */
export function withGroups<Settings extends DirectorySettings>(
  of: Settings,
  groups: Readonly<Record<string, string>>,
): Settings {
  return { ...of, settings: { ...of.settings, groups } };
}

/** What accounts are known by, as a text. */
function namespaceOf({ settings }: DirectorySettings): string {
  const { issuer, subjectClaim, accounts, flavour, attributes } = settings as Partial<LdapSettings & OidcSettings>;
  return JSON.stringify([issuer, subjectClaim, accounts, flavour, attributes?.id]);
}

/** @throws AccessError ERR_ACCESS_CONFLICT when accounts that are known would be taken for others */
async function checkNamespace(
  { tables }: Transaction,
  before: DirectoryRow | undefined,
  change: DirectoryChange,
): Promise<void> {
  if (!before || namespaceOf(before) === namespaceOf(change)) return;
  if ((await tables.identities.count({ where: { directory: before.name } })) === 0) return;
  throw new AccessError(
    'ERR_ACCESS_CONFLICT',
    `the accounts of ${before.name} are known by what would change: connect it under another name, and migrate`,
  );
}

/** Where a directory's secrets are sent, and by whom its servers are known, as a text. */
function destinationOf({ settings }: DirectorySettings): string {
  const { servers, issuer, groupsEndpoint, ca } = settings as Partial<LdapSettings & OidcSettings>;
  return JSON.stringify([servers, issuer, groupsEndpoint, ca]);
}

/**
 * A stored secret is sent only where it was meant to go: who names other servers has to have the secret.
 * @throws AccessError ERR_ACCESS_INVALID when the place changes and the secret is not given again
 */
function checkDestination(before: DirectoryRow | undefined, change: DirectoryChange): void {
  if (!before?.secret) return;
  if (destinationOf(before) === destinationOf(change)) return;
  throw new AccessError(
    'ERR_ACCESS_INVALID',
    `the secret of ${before.name} was given for other servers: give it again with the new ones`,
  );
}

function wrapSecrets(access: AccessContext, name: string, secrets: Readonly<Record<string, string>>): Uint8Array {
  return access.keyring.wrap(encodeText(JSON.stringify(secrets)), PURPOSES.directory(access.store.realm, name));
}

/** The secrets of a directory, unwrapped. */
export function secretsOf(access: AccessContext, { name, secret }: DirectoryRow): Readonly<Record<string, string>> {
  if (secret === null) return {};
  const opened = access.keyring.unwrap(secret, PURPOSES.directory(access.store.realm, name));
  return JSON.parse(decodeText(opened)) as Record<string, string>;
}

/** A directory by name. @throws AccessError ERR_ACCESS_NOT_FOUND */
export function getDirectory(access: AccessContext, name: string): Promise<DirectoryRow> {
  return access.store.transaction((transaction) => readDirectory(transaction, name));
}

/** `getDirectory` in the caller's transaction. */
export async function readDirectory(
  { tables }: Transaction,
  name: string,
  lock?: 'share' | 'update',
): Promise<DirectoryRow> {
  const row = await tables.directories.find({ name }, lock);
  if (!row) throw missing('directory', name);
  return row;
}

/** A directory by name; undefined when there is none. */
export function findDirectory(access: AccessContext, name: string): Promise<DirectoryRow | undefined> {
  return access.store.transaction(({ tables }) => tables.directories.find({ name }));
}

/** All directories as they are now, and the store's clock, epoch ms. */
export function directoriesNow(
  access: AccessContext,
): Promise<{ readonly rows: readonly DirectoryRow[]; readonly now: number }> {
  return access.store.transaction(async (transaction) => ({
    rows: await transaction.tables.directories.list(),
    now: transaction.now(),
  }));
}

/** All directories. */
export function listDirectories(access: AccessContext): Promise<readonly DirectoryRow[]> {
  return access.store.transaction(({ tables }) => tables.directories.list());
}

/**
 * Removes a directory with its accounts and groups. @throws AccessError ERR_ACCESS_CONFLICT while users belong to it:
 * nobody loses access as a side effect.
 */
export async function removeDirectory(access: AccessContext, name: string, by: Actor): Promise<void> {
  await changeRealm(access, by, async (begun) => {
    await bumpMapVersion(begun);
    const { users, directories, directoryGroups, members, identities, ...more } = begun.tables;
    await readDirectory(begun, name, 'update');
    const left = await users.count({ where: { directory: name, enabled: true } });
    if (left > 0)
      throw new AccessError('ERR_ACCESS_CONFLICT', `${left} users sign in by ${name}: move them or disable them first`);
    const losing = new Set<string>();
    for (const { subject } of await directoryGroups.list({ where: { directory: name } })) {
      const where = { source: sourceOf(name, subject) };
      for (const { userId } of await members.list({ where })) losing.add(userId);
      await members.remove({ where });
    }
    await begun.rereadRights([...losing]);
    for (const table of [identities, directoryGroups, more.accountGroups, more.directoryTokens, more.bindings])
      await table.remove({ where: { directory: name } });
    await directories.remove({ where: { name } });
    begun.audit('directory.remove', name);
  });
}

/** The source of memberships that a group of a directory gives. */
export function sourceOf(directory: string, groupSubject: string): string {
  return `${directory}/${groupSubject}`;
}

/** A new bearer token of a directory; the store has its hash only. */
export interface IssuedDirectoryToken {
  readonly id: string;
  readonly token: string;
  readonly expiresAt: number;
}

/** How long tokens live when nobody says otherwise, and how long older ones go on after a rotation, ms. */
const TOKEN_TTL_MS = 365 * 86_400_000;
const ROTATION_MS = 7 * 86_400_000;

/**
 * Issues a bearer token for a directory's SCIM client. The ones before it go on for a week, so that a rotation needs no
 * downtime, or end at once with `endOthers`.
 */
export async function issueDirectoryToken(
  access: AccessContext,
  directory: string,
  options: { readonly ttlMs?: number | undefined; readonly endOthers: boolean },
  by: Actor,
): Promise<IssuedDirectoryToken> {
  const token = makeToken(access, 'sps');
  const tokenHash = access.crypto.sha256(encodeText(token));
  return changeRealm(access, by, async (begun) => {
    const { directoryTokens } = begun.tables;
    const { kind } = await readDirectory(begun, directory, 'update');
    if (kind !== 'scim') throw new AccessError('ERR_ACCESS_INVALID', `${directory} is no SCIM directory`);
    const { at } = begun;
    const latest = options.endOthers ? at : at + ROTATION_MS;
    const others = await directoryTokens.list({ where: { directory }, above: ['expiresAt', latest] });
    await directoryTokens.updateEach(others.map(({ id }) => ({ key: { id }, change: { expiresAt: latest } })));
    await directoryTokens.remove({ where: { directory }, below: ['expiresAt', at] });
    const row = {
      id: randomId(access.crypto),
      directory,
      tokenHash,
      createdAt: at,
      expiresAt: at + (options.ttlMs ?? TOKEN_TTL_MS),
    };
    await directoryTokens.insert(row);
    begun.audit('directory.token', directory);
    return { id: row.id, token, expiresAt: row.expiresAt };
  });
}

/** The directory of a bearer token; undefined when it is not good. */
export async function findDirectoryByToken(access: AccessContext, token: string): Promise<DirectoryRow | undefined> {
  if (!isOurToken(access, 'sps', token)) return undefined;
  const tokenHash = access.crypto.sha256(encodeText(token));
  return access.store.transaction(async ({ tables, now }) => {
    const row = await tables.directoryTokens.find({ tokenHash });
    if (!row || row.expiresAt <= now()) return undefined;
    return tables.directories.find({ name: row.directory });
  });
}
