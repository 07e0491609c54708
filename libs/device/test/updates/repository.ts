import {
  encodeText,
  formatExpires,
  formatHex,
  formatUpdate,
  metaFileOf,
  type ReleaseDocument,
  type RootContent,
  releasePath,
  type SignedUpdate,
  signUpdate,
  type TargetsContent,
  UPDATE_CHUNK_BYTES,
  UPDATE_SPEC,
  type UpdateRole,
  updateKeyFrom,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';

const crypto = nodeCrypto();
const DAY_MS = 86_400_000;
/** The moment at which the repository is made, epoch ms. */
export const NOW = 1_800_000_000_000;
export const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;

/** A key that is always the same. */
function secretOf(number: number): Uint8Array {
  return new Uint8Array(32).fill(number);
}

/** Who signs what, by numbers of keys. */
export type Signers = Readonly<Record<UpdateRole, readonly number[]>>;
export const SIGNERS: Signers = { root: [1, 2], targets: [3, 4], snapshot: [5], timestamp: [6] };

/** A root in which roles need all their keys, or as many as said. */
export function rootOf(
  version: number,
  signers: Signers,
  thresholds: Partial<Record<UpdateRole, number>> = {},
): RootContent {
  const keys = Object.fromEntries(
    ROLES.flatMap((role) => signers[role].map((number) => updateKeyFrom(secretOf(number)))).map(({ id, key }) => [
      id,
      key,
    ]),
  );
  const role = (name: UpdateRole) => ({
    keyids: signers[name].map((number) => updateKeyFrom(secretOf(number)).id),
    threshold: thresholds[name] ?? signers[name].length,
  });
  return {
    ...common('root', version, 365),
    consistent_snapshot: true,
    keys,
    roles: { root: role('root'), targets: role('targets'), snapshot: role('snapshot'), timestamp: role('timestamp') },
  };
}

function common<Role extends UpdateRole>(role: Role, version: number, days: number) {
  return { _type: role, spec_version: UPDATE_SPEC, version, expires: formatExpires(NOW + days * DAY_MS) };
}

/** Signs by keys of these numbers. */
export function signedBy<Content>(signed: Content, numbers: readonly number[]): SignedUpdate<Content> {
  return numbers.reduce<SignedUpdate<Content>>((update, number) => signUpdate(update, secretOf(number)), {
    signatures: [],
    signed,
  });
}

/** Versions and ends of metadata. */
export interface Made {
  readonly signers?: Signers;
  readonly timestamp?: number;
  readonly snapshot?: number;
  readonly targets?: number;
  readonly timestampDays?: number;
}

/** A repository as files by their names, which a test may change. */
export class Repository {
  readonly files: Map<string, Uint8Array> = new Map();
  releases: readonly ReleaseDocument[] = [];

  constructor() {
    this.put('1.root.json', signedBy(rootOf(1, SIGNERS), SIGNERS.root));
    this.publish();
  }

  /** SHA-256 of the first root, as Security names it. */
  get pin(): { readonly version: number; readonly sha256: string } {
    return { version: 1, sha256: formatHex(crypto.sha256(this.files.get('1.root.json')!)) };
  }

  put(name: string, update: SignedUpdate<unknown>): void {
    this.files.set(name, formatUpdate(update));
  }

  /** Writes targets, snapshot and timestamp anew. */
  publish({ signers = SIGNERS, timestamp = 1, snapshot = 1, targets = 1, timestampDays = 1 }: Made = {}): void {
    const listed = this.releases.map((release) => {
      const bytes = encodeText(JSON.stringify(release));
      this.files.set(`targets/${releasePath(release.release)}`, bytes);
      return [
        releasePath(release.release),
        { length: bytes.length, hashes: { sha256: formatHex(crypto.sha256(bytes)) } },
      ];
    });
    const content: TargetsContent = { ...common('targets', targets, 90), targets: Object.fromEntries(listed) };
    const signedTargets = signedBy(content, signers.targets);
    this.put(`${targets}.targets.json`, signedTargets);
    const meta = { 'targets.json': metaFileOf(signedTargets) };
    const signedSnapshot = signedBy({ ...common('snapshot', snapshot, 7), meta }, signers.snapshot);
    this.put(`${snapshot}.snapshot.json`, signedSnapshot);
    const newest = { 'snapshot.json': metaFileOf(signedSnapshot) };
    this.put(
      'timestamp.json',
      signedBy({ ...common('timestamp', timestamp, timestampDays), meta: newest }, signers.timestamp),
    );
  }
}

/** A release of the app `test.app` with a package. */
export function releaseOf(
  id: string,
  version: string,
  content: Uint8Array,
  over: Partial<ReleaseDocument> = {},
): ReleaseDocument {
  const chunks: string[] = [];
  for (let at = 0; at < content.length; at += UPDATE_CHUNK_BYTES)
    chunks.push(formatHex(crypto.sha256(content.subarray(at, at + UPDATE_CHUNK_BYTES))));
  return {
    release: id,
    app: 'test.app',
    version,
    build: '1',
    os: 'linux',
    minOsVersion: '',
    notes: { en: 'better' },
    permissions: [],
    sha256: formatHex(crypto.sha256(content)),
    bytes: content.length,
    chunkBytes: UPDATE_CHUNK_BYTES,
    chunks,
    ...over,
  };
}
