import {
  type CryptoProvider,
  decodeText,
  encodeText,
  formatHex,
  MAX_UPDATE_BYTES,
  type MetaFile,
  parseUpdate,
  type RootContent,
  type SignedUpdate,
  signersOfUpdate,
  type TargetsContent,
  type UpdateContents,
  type UpdateRole,
} from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import type { StoredUpdates } from '../kept/record.ts';

/** Where metadata comes from: a file by its name, at most so many bytes of it; undefined when there is none. */
export type ReadMetadata = (name: string, maxBytes: number) => Promise<Uint8Array | undefined>;

/** What metadata is held against. */
export interface UpdateSurroundings {
  readonly crypto: Pick<CryptoProvider, 'sha256'>;
  readonly read: ReadMetadata;
  /** Keeps what was verified, durably, before anything relies on it. */
  readonly store: (updates: StoredUpdates) => Promise<void>;
  /** The clock of the device, epoch ms: it is never taken to go back. */
  readonly nowMs: number;
}

/** New roots that are followed in one go: who has missed more follows the others the next time. */
const MAX_ROOTS = 64;

/**
 * Reads and verifies metadata of updates as The Update Framework says (specification 1.0.34, section 5.3 to 5.6), from what was pinned
 * when the device enrolled, and gives what may be installed. Each step is checked whole, then kept, then relied on: a device that is
 * stopped at any moment has kept nothing that was not verified, and forgets nothing that was.
 * @throws DeviceError UPDATE_SIGNATURE, UPDATE_ROLLBACK, UPDATE_EXPIRED, UPDATE_MIXED, UPDATE_TOO_LARGE, UPDATE_MALFORMED
 */
export async function refreshUpdates(place: UpdateSurroundings, stored: StoredUpdates): Promise<TargetsContent> {
  const refresh = new Refresh(place, stored);
  await refresh.root();
  const snapshotFile = await refresh.timestamp();
  const targetsFile = await refresh.snapshot(snapshotFile);
  return refresh.targets(targetsFile);
}

class Refresh {
  readonly #place: UpdateSurroundings;
  readonly #now: number;
  #kept: StoredUpdates;
  #root: RootContent | undefined;

  constructor(place: UpdateSurroundings, stored: StoredUpdates) {
    this.#place = place;
    this.#kept = stored;
    // Who sets a clock back does not make old metadata good again.
    this.#now = Math.max(place.nowMs, stored.newestAt ?? 0);
  }

  /** Follows new roots, each signed by enough keys of the one before and of itself (section 5.3). */
  async root(): Promise<void> {
    let root =
      this.#kept.root === undefined ? await this.#pinnedRoot() : this.#parse('root', encodeText(this.#kept.root));
    for (let i = 0; i < MAX_ROOTS; i++) {
      const next = await this.#place.read(`${root.signed.version + 1}.root.json`, MAX_UPDATE_BYTES.root);
      if (!next) break;
      const update = this.#parse('root', next);
      checkSigned(update, root.signed, 'root');
      checkSigned(update, update.signed, 'root');
      if (update.signed.version !== root.signed.version + 1)
        throw refused('UPDATE_ROLLBACK', `root ${update.signed.version} came in place of ${root.signed.version + 1}`);
      await this.#keep({ root: decodeText(next), ...this.#versionsAfter(root.signed, update.signed) });
      root = update;
    }
    this.#checkFresh(root.signed);
    this.#root = root.signed;
  }

  /** The root that was named when the device enrolled: its bytes are known by their hash. */
  async #pinnedRoot(): Promise<SignedUpdate<RootContent>> {
    const { version, sha256 } = this.#kept.pin;
    const bytes = await this.#read(`${version}.root.json`, MAX_UPDATE_BYTES.root);
    if (formatHex(this.#place.crypto.sha256(bytes)) !== sha256)
      throw refused('UPDATE_SIGNATURE', 'the root is not the one that was pinned at the enrolment');
    const root = this.#parse('root', bytes);
    await this.#keep({ root: decodeText(bytes) });
    return root;
  }

  /**
   * Where the keys of timestamp or snapshot were replaced, versions signed by the old ones count no more: whoever had those may have
   * run far ahead with them (section 5.3.11).
   */
  #versionsAfter(before: RootContent, after: RootContent): Partial<StoredUpdates> {
    const isReplaced = (['timestamp', 'snapshot'] as const).some(
      (role) => rolesText(before, role) !== rolesText(after, role),
    );
    return isReplaced
      ? {
          timestamp: 0,
          snapshot: 0,
          ...(rolesText(before, 'targets') === rolesText(after, 'targets') ? {} : { targets: 0 }),
        }
      : {};
  }

  /** The newest timestamp, which names the snapshot (section 5.4). */
  async timestamp(): Promise<MetaFile> {
    const update = this.#parse('timestamp', await this.#read('timestamp.json', MAX_UPDATE_BYTES.timestamp));
    checkSigned(update, this.#root!, 'timestamp');
    const { version, meta } = update.signed;
    const snapshot = meta['snapshot.json'];
    checkNotBack('timestamp', version, this.#kept.timestamp);
    checkNotBack('snapshot', snapshot.version, this.#kept.snapshot);
    this.#checkFresh(update.signed);
    await this.#keep({ timestamp: version, newestAt: this.#now });
    return snapshot;
  }

  /** The snapshot that the timestamp names, which names the targets (section 5.5). */
  async snapshot(file: MetaFile): Promise<MetaFile> {
    const update = this.#parse('snapshot', await this.#readFile('snapshot', file));
    checkSigned(update, this.#root!, 'snapshot');
    if (update.signed.version !== file.version)
      throw refused('UPDATE_MIXED', 'this is not the snapshot that the timestamp names');
    const targets = update.signed.meta['targets.json'];
    checkNotBack('targets', targets.version, this.#kept.targets);
    this.#checkFresh(update.signed);
    await this.#keep({ snapshot: file.version });
    return targets;
  }

  /** The targets that the snapshot names (section 5.6). */
  async targets(file: MetaFile): Promise<TargetsContent> {
    const update = this.#parse('targets', await this.#readFile('targets', file));
    checkSigned(update, this.#root!, 'targets');
    if (update.signed.version !== file.version)
      throw refused('UPDATE_MIXED', 'these are not the targets that the snapshot names');
    this.#checkFresh(update.signed);
    await this.#keep({ targets: file.version });
    return update.signed;
  }

  /** A file as long as it may be, whose hash the metadata above it has said. */
  async #readFile(role: 'snapshot' | 'targets', { version, length, hashes }: MetaFile): Promise<Uint8Array> {
    if (length > MAX_UPDATE_BYTES[role]) throw refused('UPDATE_TOO_LARGE', `${role} are said to have ${length} bytes`);
    const bytes = await this.#read(`${version}.${role}.json`, length);
    if (bytes.length > length) throw refused('UPDATE_TOO_LARGE', `${role} has more than its ${length} bytes`);
    if (bytes.length !== length || formatHex(this.#place.crypto.sha256(bytes)) !== hashes.sha256)
      throw refused('UPDATE_MIXED', `${role} ${version} is not what was said of it`);
    return bytes;
  }

  async #read(name: string, maxBytes: number): Promise<Uint8Array> {
    const bytes = await this.#place.read(name, maxBytes);
    if (!bytes) throw refused('UPDATE_MIXED', `there is no ${name}`);
    return bytes;
  }

  #parse<Role extends UpdateRole>(role: Role, bytes: Uint8Array): SignedUpdate<UpdateContents[Role]> {
    if (bytes.length > MAX_UPDATE_BYTES[role])
      throw refused('UPDATE_TOO_LARGE', `${role} has more than ${MAX_UPDATE_BYTES[role]} bytes`);
    try {
      return parseUpdate(role, bytes);
    } catch (cause) {
      throw refused('UPDATE_MALFORMED', `${role}: ${(cause as Error).message}`, cause);
    }
  }

  #checkFresh({ _type, expires }: { readonly _type: string; readonly expires: string }): void {
    if (Date.parse(expires) <= this.#now) throw refused('UPDATE_EXPIRED', `${_type} was good until ${expires}`);
  }

  async #keep(change: Partial<StoredUpdates>): Promise<void> {
    const kept = { ...this.#kept, ...change };
    await this.#place.store(kept);
    this.#kept = kept;
  }
}

function rolesText({ roles, keys }: RootContent, role: UpdateRole): string {
  return JSON.stringify(roles[role].keyids.map((id) => keys[id]?.keyval.public ?? id).sort());
}

function checkSigned(update: SignedUpdate<unknown>, root: RootContent, role: UpdateRole): void {
  const { threshold } = root.roles[role];
  const count = signersOfUpdate(update, root, role).length;
  if (count < threshold)
    throw refused('UPDATE_SIGNATURE', `${role} has ${count} of the ${threshold} signatures that it needs`);
}

function checkNotBack(what: string, version: number, known = 0): void {
  if (version < known) throw refused('UPDATE_ROLLBACK', `${what} ${version} is older than ${known}, which was seen`);
}

type UpdateCode =
  | 'UPDATE_SIGNATURE'
  | 'UPDATE_ROLLBACK'
  | 'UPDATE_EXPIRED'
  | 'UPDATE_MIXED'
  | 'UPDATE_TOO_LARGE'
  | 'UPDATE_MALFORMED';

function refused(code: UpdateCode, why: string, cause?: unknown): DeviceError {
  return new DeviceError(code, `the update is refused: ${why}`, cause === undefined ? {} : { cause });
}
