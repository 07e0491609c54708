import {
  canonicalJson,
  formatExpires,
  formatUpdate,
  MAX_UPDATE_BYTES,
  metaFileOf,
  parseUpdate,
  type RootContent,
  type SignedUpdate,
  type SnapshotContent,
  signersOfUpdate,
  signUpdate,
  type TargetsContent,
  type TimestampContent,
  UPDATE_SPEC,
  type UpdateContents,
  type UpdateRole,
  updateKeyFrom,
  updateKeyId,
} from '@sallyport/channel';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpPolicyVersion, getRealm } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import type { UpdateFileRow } from './rows.ts';

const DAY_MS = 86_400_000;
/** How long what is signed online is good, ms: a device that is kept from newer metadata notices after the shorter one. */
const TIMESTAMP_MS = DAY_MS;
const SNAPSHOT_MS = 7 * DAY_MS;
/** How long targets are good, ms: until then somebody signs them again. */
const TARGETS_MS = 180 * DAY_MS;

/** The secret with which Security signs snapshot and timestamp, by its number; other numbers are other keys. */
export type OnlineKey = (number: number) => Uint8Array;
/** Numbers of online keys that are tried. */
const ONLINE_KEYS = 16;

/** The newest root; undefined while there is none. */
export function findUpdateRoot({ store }: AccessContext): Promise<SignedUpdate<RootContent> | undefined> {
  return store.transaction(newestRoot);
}

async function newestRoot(transaction: Transaction): Promise<SignedUpdate<RootContent> | undefined> {
  return newestUpdate(transaction, 'root');
}

/** The newest metadata of a role; undefined while there is none. */
export async function newestUpdate<Role extends UpdateRole>(
  { tables }: Transaction,
  role: Role,
): Promise<SignedUpdate<UpdateContents[Role]> | undefined> {
  const [row] = await tables.updateFiles.list({ where: { role }, newestFirst: true, limit: 1 });
  return row && parseUpdate(role, new TextEncoder().encode(row.content));
}

/** A file of metadata by its name, as devices ask for it; undefined when there is none. What gets old is signed anew before. */
export function readUpdateFile({ store }: AccessContext, name: string, online: OnlineKey): Promise<string | undefined> {
  const [, version, role] = /^(?:(\d{1,9})\.)?(root|targets|snapshot|timestamp)\.json$/.exec(name) ?? [];
  if (!role || (version === undefined) !== (role === 'timestamp')) return Promise.resolve(undefined);
  return store.transaction(async (transaction) => {
    const { tables } = transaction;
    if (version !== undefined)
      return (await tables.updateFiles.find({ role: role as UpdateRole, version: Number(version) }))?.content;
    // Two nodes may be asked at the same moment: one signs, and the other one finds what that has signed.
    if (await areOld(transaction)) {
      await getRealm(transaction, 'update');
      await signOnline(transaction, online);
    }
    const [row] = await tables.updateFiles.list({ where: { role: 'timestamp' }, newestFirst: true, limit: 1 });
    return row?.content;
  });
}

/** The number of the online key that a root names; undefined for one of another realm. */
function onlineNumberOf({ roles }: RootContent, online: OnlineKey): number | undefined {
  const [id] = roles.timestamp.keyids;
  return Array.from({ length: ONLINE_KEYS }, (_, number) => number).find(
    (number) => updateKeyFrom(online(number)).id === id,
  );
}

/**
 * Takes a root: signed by enough keys of the one before and of its own. Snapshot and timestamp are for one online key of this realm,
 * which may sign nothing else.
 * @throws AccessError ERR_ACCESS_INVALID, ERR_ACCESS_CONFLICT for another version than the next
 */
export async function putRoot(access: AccessContext, text: string, online: OnlineKey, by: Actor): Promise<number> {
  const update = parsed('root', text);
  const { signed } = update;
  if (onlineNumberOf(signed, online) === undefined)
    throw invalid('its timestamp is not for an online key of this realm');
  const [onlineId] = signed.roles.timestamp.keyids;
  if (String(signed.roles.snapshot.keyids) !== onlineId || signed.roles.timestamp.keyids.length !== 1)
    throw invalid('snapshot and timestamp must be for the one online key');
  const offline = [...signed.roles.root.keyids, ...signed.roles.targets.keyids];
  if (offline.includes(onlineId!)) throw invalid('the online key may sign neither roots nor targets');
  checkKeys(signed);
  await change(access, by, async (begun) => {
    if (Date.parse(signed.expires) <= begun.at) throw invalid('it is over already');
    const before = await newestRoot(begun);
    checkNext('root', signed.version, before?.signed.version ?? 0);
    if (before) checkSigned(update, before.signed, 'root');
    checkSigned(update, signed, 'root');
    await begun.tables.updateFiles.insert(fileOf('root', update, []));
    if (before) await signOnline(begun, online, { anew: true });
    await bumpPolicyVersion(begun);
    begun.audit('update.root', `version ${signed.version}`);
  });
  return signed.version;
}

/** Ids are those of their keys, so that no key is in two roles by two names; and no role needs more signatures than it has keys. */
function checkKeys({ keys, roles }: RootContent): void {
  for (const [id, { keytype, scheme, keyval }] of Object.entries(keys))
    if (updateKeyId({ keytype, scheme, keyval: { public: keyval.public } }) !== id)
      throw invalid('the id of a key is not that of its bytes');
  for (const role of ['root', 'targets', 'snapshot', 'timestamp'] as const) {
    const { keyids, threshold } = roles[role];
    if (new Set(keyids.filter((id) => Object.hasOwn(keys, id))).size < threshold)
      throw invalid(`the role ${role} needs more signatures than it has keys`);
  }
}

/** Metadata as a row, as long as devices read it. @throws AccessError ERR_ACCESS_INVALID */
function fileOf(
  role: UpdateFileRow['role'],
  update: SignedUpdate<{ readonly version: number }>,
  signers: readonly string[],
): UpdateFileRow {
  const bytes = formatUpdate(update);
  const most = MAX_UPDATE_BYTES[role === 'draft' ? 'targets' : role];
  if (bytes.length > most) throw invalid(`devices read ${most} bytes of it at most, it has ${bytes.length}`);
  return { role, version: update.signed.version, content: new TextDecoder().decode(bytes), signers };
}

function invalid(why: string): AccessError {
  return new AccessError('ERR_ACCESS_INVALID', `the metadata is refused: ${why}`);
}

/** Metadata that somebody brings. @throws AccessError ERR_ACCESS_INVALID */
export function parsed<Role extends UpdateRole>(role: Role, text: string): SignedUpdate<UpdateContents[Role]> {
  try {
    return parseUpdate(role, new TextEncoder().encode(text));
  } catch (error) {
    throw invalid((error as Error).message);
  }
}

function checkNext(role: string, version: number, before: number): void {
  if (version !== before + 1)
    throw new AccessError('ERR_ACCESS_CONFLICT', `${role} ${before + 1} comes next, not ${version}: begin again`);
}

/** @throws AccessError ERR_ACCESS_INVALID when too few keys of a role have signed */
function checkSigned(update: SignedUpdate<unknown>, root: RootContent, role: UpdateRole): void {
  const { threshold } = root.roles[role];
  const count = signersOfUpdate(update, root, role).length;
  if (count < threshold) throw invalid(`it has ${count} of the ${threshold} signatures that it needs`);
}

/** Targets that need one more signature, or those that come next when nobody has signed any. */
export interface TargetsDraft {
  readonly update: SignedUpdate<TargetsContent>;
  readonly threshold: number;
}

/** The draft of the next targets: that which was begun for just this content, else a new one. @throws AccessError ERR_ACCESS_CONFLICT without a root */
export async function draftOf(transaction: Transaction, targets: TargetsContent['targets']): Promise<TargetsDraft> {
  const root = await newestRoot(transaction);
  if (!root) throw new AccessError('ERR_ACCESS_CONFLICT', 'there is no root yet: sallyport app root make');
  const version = ((await newestUpdate(transaction, 'targets'))?.signed.version ?? 0) + 1;
  const { threshold } = root.signed.roles.targets;
  const begun = await begunDraft(transaction, version);
  const isSame = begun && canonicalJson(begun.update.signed.targets) === canonicalJson(targets);
  // One that nobody has signed to its end in all that time is begun again.
  if (isSame && !isOver(begun.update, transaction.now())) return { update: begun.update, threshold };
  const expires = formatExpires(transaction.now() + TARGETS_MS);
  const signed: TargetsContent = { _type: 'targets', spec_version: UPDATE_SPEC, version, expires, targets };
  return { update: { signatures: [], signed }, threshold };
}

async function begunDraft(
  { tables }: Transaction,
  version: number,
): Promise<{ readonly update: SignedUpdate<TargetsContent>; readonly signers: readonly string[] } | undefined> {
  const row = await tables.updateFiles.find({ role: 'draft', version });
  return row && { update: parsed('targets', row.content), signers: row.signers };
}

/**
 * Takes signatures over the next targets. When there are enough, the targets, and a snapshot and timestamp of them, are what devices get.
 * True then. Who published something in them cannot be the one who signs.
 * @throws AccessError ERR_ACCESS_INVALID, ERR_ACCESS_CONFLICT
 */
export async function signTargets(
  transaction: Transaction,
  brought: SignedUpdate<TargetsContent>,
  { online, operator }: { readonly online: OnlineKey; readonly operator: string },
): Promise<boolean> {
  const root = await newestRoot(transaction);
  if (!root) throw new AccessError('ERR_ACCESS_CONFLICT', 'there is no root yet');
  const { version } = brought.signed;
  checkNext('targets', version, (await newestUpdate(transaction, 'targets'))?.signed.version ?? 0);
  checkTargets(brought, transaction.now());
  const good = signersOfUpdate(brought, root.signed, 'targets');
  if (good.length === 0) throw invalid('no key of the role targets has signed it');
  const begun = await begunDraft(transaction, version);
  const isSame = begun && canonicalJson(begun.update.signed) === canonicalJson(brought.signed);
  const signatures = new Map(
    // What does not hold takes the place of nothing.
    [...(isSame ? begun.update.signatures : []), ...brought.signatures.filter(({ keyid }) => good.includes(keyid))].map(
      (one) => [one.keyid, one],
    ),
  );
  const update = { signed: brought.signed, signatures: [...signatures.values()] };
  const signers = [...new Set([...(isSame ? begun.signers : []), operator])];
  const { updateFiles } = transaction.tables;
  await updateFiles.remove({ where: { role: 'draft' } });
  if (signersOfUpdate(update, root.signed, 'targets').length < root.signed.roles.targets.threshold) {
    await updateFiles.insert(fileOf('draft', update, signers));
    return false;
  }
  await updateFiles.insert(fileOf('targets', update, signers));
  await forgetOld(transaction, 'targets');
  await signOnline(transaction, online, { anew: true });
  return true;
}

/** Versions of what a device reads in several steps that stay: it may be in the middle of them. */
const KEPT_VERSIONS = 3;

/** Removes versions that nobody asks for any more: a device begins with the newest. Roots stay, devices follow all of them. */
async function forgetOld({ tables: { updateFiles } }: Transaction, role: 'targets' | 'snapshot'): Promise<void> {
  const kept = await updateFiles.list({ where: { role }, newestFirst: true, limit: KEPT_VERSIONS });
  const oldest = kept.at(-1);
  if (oldest) await updateFiles.remove({ where: { role }, below: ['version', oldest.version] });
}

/** Targets say what targets say, and are good for some time, but not for ever. @throws AccessError ERR_ACCESS_INVALID */
function checkTargets({ signed }: SignedUpdate<TargetsContent>, now: number): void {
  const { _type, spec_version, version, expires, targets } = signed;
  if (canonicalJson(signed) !== canonicalJson({ _type, spec_version, version, expires, targets }))
    throw invalid('it says more than which files there are');
  if (isOver({ signed }, now)) throw invalid('it is over already');
  if (Date.parse(expires) > now + TARGETS_MS + DAY_MS) throw invalid('it is good for more than 180 days');
}

function isOver({ signed }: { readonly signed: { readonly expires: string } }, now: number): boolean {
  return Date.parse(signed.expires) <= now;
}

const MINUTE_MS = 60_000;

/**
 * The version of what Security signs next: minutes since 1970, or one more than the last. So a database that was restored signs nothing
 * that devices take for older than what they saw before.
 */
function versionAfter(last: SignedUpdate<{ readonly version: number }> | undefined, now: number): number {
  return Math.max((last?.signed.version ?? 0) + 1, Math.floor(now / MINUTE_MS));
}

/** True where half of the time is over for which snapshot or timestamp are good; where there are none yet, nothing is. */
async function areOld(transaction: Transaction): Promise<boolean> {
  const [snapshot, timestamp] = await Promise.all([
    newestUpdate(transaction, 'snapshot'),
    newestUpdate(transaction, 'timestamp'),
  ]);
  const now = transaction.now();
  return timestamp !== undefined && (isOld(snapshot, SNAPSHOT_MS, now) || isOld(timestamp, TIMESTAMP_MS, now));
}

function isOld(update: SignedUpdate<{ expires: string }> | undefined, life: number, now: number): boolean {
  return !update || Date.parse(update.signed.expires) - now < life / 2;
}

/** Makes a snapshot and a timestamp of what there is; without `anew` only when the ones that there are get old. */
async function signOnline(
  transaction: Transaction,
  online: OnlineKey,
  { anew = false }: { readonly anew?: boolean } = {},
): Promise<void> {
  const [root, targets] = [await newestRoot(transaction), await newestUpdate(transaction, 'targets')];
  if (!root || !targets) return;
  const number = onlineNumberOf(root.signed, online);
  if (number === undefined) throw new AccessError('ERR_ACCESS_CONFLICT', 'the root names no online key of this realm');
  const now = transaction.now();
  let snapshot = await newestUpdate(transaction, 'snapshot');
  const timestamp = await newestUpdate(transaction, 'timestamp');
  const snapshotIsOld = anew || isOld(snapshot, SNAPSHOT_MS, now);
  if (!snapshotIsOld && !isOld(timestamp, TIMESTAMP_MS, now)) return;
  const secret = online(number);
  const { updateFiles } = transaction.tables;
  if (snapshotIsOld) {
    const meta = { 'targets.json': metaFileOf(targets) };
    const expires = formatExpires(now + SNAPSHOT_MS);
    const version = versionAfter(snapshot, now);
    const signed: SnapshotContent = { _type: 'snapshot', spec_version: UPDATE_SPEC, version, expires, meta };
    snapshot = signUpdate({ signatures: [], signed }, secret);
    await updateFiles.insert(fileOf('snapshot', snapshot, []));
    await forgetOld(transaction, 'snapshot');
  }
  const meta = { 'snapshot.json': metaFileOf(snapshot!) };
  const [expires, version] = [formatExpires(now + TIMESTAMP_MS), versionAfter(timestamp, now)];
  const signed: TimestampContent = { _type: 'timestamp', spec_version: UPDATE_SPEC, version, expires, meta };
  await updateFiles.remove({ where: { role: 'timestamp' } });
  await updateFiles.insert(fileOf('timestamp', signUpdate({ signatures: [], signed }, secret), []));
}
