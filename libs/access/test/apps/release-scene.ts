import { createHash, randomBytes } from 'node:crypto';
import {
  formatExpires,
  formatUpdate,
  parseUpdate,
  type RootContent,
  type SignedUpdate,
  signUpdate,
  type TargetsContent,
  UPDATE_SPEC,
  updateKeyFrom,
} from '@sallyport/channel';
import type { PackageView, ReleaseInput } from '@sallyport/security-api';
import {
  type AccessContext,
  approveRelease,
  draftWith,
  proposeRelease,
  putApp,
  putRoot,
  type ReleaseRow,
} from '../../src/index.ts';
import { BY } from '../scene.ts';

/** The pipeline that publishes. */
export const CI = { actor: 'publisher ci', reason: 'build 7' };
/** SHA-256 of the certificate that signs the app `field`. */
export const SIGNER: string = 'aa'.repeat(32);
export const DAY: number = 86_400_000;
/** The secret of who signs roots. */
const ROOT: Uint8Array = randomBytes(32);
/** The secrets of both who sign releases. */
export const TIM: Uint8Array = randomBytes(32);
export const TOM: Uint8Array = randomBytes(32);

/** Keys with which this realm signs online. */
export function online(number: number): Uint8Array {
  return new Uint8Array(32).fill(number + 1);
}

/** A package of the app `field` as it was read, each another one; its build rises with its version. */
export function packageOf(over: Partial<PackageView> = {}): PackageView {
  const { version = '1.1' } = over;
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const sha256 = createHash('sha256').update(randomBytes(8)).digest('hex');
  return {
    ...{ kind: 'apk', os: 'android', id: 'field', version, minOsVersion: '', permissions: [] },
    build: String(major * 1_000_000 + minor * 1_000 + patch),
    ...{ signers: [SIGNER], sha256, bytes: 3, chunks: [sha256] },
    ...over,
  };
}

type Key = ReturnType<typeof updateKeyFrom>;

/** What a root is to be instead. */
export interface WantedRoot {
  readonly version?: number;
  readonly change?: (root: RootContent) => RootContent;
}

/** A root of one key, for targets of two of which so many must sign. */
export function rootText(
  now: number,
  threshold: number,
  { version = 1, change = (root) => root }: WantedRoot = {},
): string {
  const [root, tim, tom, own] = [ROOT, TIM, TOM, online(0)].map(updateKeyFrom) as [Key, Key, Key, Key];
  const keys = Object.fromEntries([root, tim, tom, own].map(({ id, key }) => [id, key]));
  const one = (id: string) => ({ keyids: [id], threshold: 1 });
  const targets = { keyids: [tim.id, tom.id], threshold };
  const signed: RootContent = {
    ...{ _type: 'root', spec_version: UPDATE_SPEC, version, expires: formatExpires(now + 365 * DAY) },
    ...{ consistent_snapshot: true, keys },
    roles: { root: one(root.id), targets, snapshot: one(own.id), timestamp: one(own.id) },
  };
  return textOf(signUpdate({ signatures: [], signed: change(signed) }, ROOT));
}

/** Metadata as text. */
function textOf(update: SignedUpdate<unknown>): string {
  return new TextDecoder().decode(formatUpdate(update));
}

/** Gives a realm the app `field` for everybody, and a root by which so many of two people sign releases. */
export async function withReleases(access: AccessContext, now: number, threshold = 1): Promise<void> {
  await putApp(access, 'field', { groups: null, signers: [SIGNER] }, BY);
  await putRoot(access, rootText(now, threshold), online, BY);
}

/** Proposes a package as a pipeline does. */
export function propose(
  access: AccessContext,
  content: PackageView = packageOf(),
  input: Omit<ReleaseInput, 'sha256'> = {},
): Promise<ReleaseRow> {
  return proposeRelease(access, { ...input, sha256: content.sha256, look: async () => content }, CI);
}

/** The targets with a release, to be signed. */
export async function draft(
  access: AccessContext,
  { id }: Pick<ReleaseRow, 'id'>,
): Promise<SignedUpdate<TargetsContent>> {
  return parseUpdate('targets', formatUpdate((await draftWith(access, id)).update));
}

/** Brings signatures over the targets with a release. */
export function sign(
  access: AccessContext,
  { id }: Pick<ReleaseRow, 'id'>,
  update: SignedUpdate<unknown>,
  actor = 'tim',
): Promise<ReleaseRow> {
  return approveRelease(access, { id, metadata: textOf(update), online }, { actor, reason: 'tried it' });
}

/** Proposes a package and signs it: a live release. */
export async function published(
  access: AccessContext,
  content: PackageView = packageOf(),
  input: Omit<ReleaseInput, 'sha256'> = {},
): Promise<ReleaseRow> {
  const release = await propose(access, content, input);
  return sign(access, release, signUpdate(await draft(access, release), TIM));
}
