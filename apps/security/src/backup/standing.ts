import {
  type BackupError,
  type BackupTarget,
  checkReceipt,
  EXPORT_OBJECTS,
  type ExportFolder,
  type FoundManifest,
  type ManifestKeys,
  objectPath,
  type Receipt,
  type Recipient,
  readManifest,
  readObject,
} from '@sallyport/backup';

/** What an export is worth. */
export interface ExportStanding {
  readonly name: string;
  /** Epoch ms, by its name. */
  readonly takenAt: number;
  /** `half`: without a manifest, it counts for nothing. `refused`: see `fault`. */
  readonly state: 'verified' | 'not verified' | 'half' | 'refused';
  readonly rows: number | null;
  /** Of its data, as its manifest has it and whoever made it was told. */
  readonly bytes: number;
  /** Epoch ms; null where no receipt counts. */
  readonly verifiedAt: number | null;
  /** Why it, or its receipt, is refused; empty otherwise. */
  readonly fault: string;
}

/** What exports are held against. */
export interface StandingOrder {
  readonly realm: string;
  /** Absent where `kek.json` is not at hand: nobody knows then whether a manifest is genuine, and no receipt counts. */
  readonly keys: ManifestKeys | undefined;
  readonly recipients: readonly Recipient[];
}

/** Manifest and receipt of an export, and what they are worth. */
export interface ExportDetails {
  readonly standing: ExportStanding;
  readonly found?: FoundManifest;
  readonly receipt?: Receipt;
}

const UNKNOWN_RECIPIENTS =
  'it has a receipt; to see whether that counts: --recipient FILE, or SALLYPORT_BACKUP_RECIPIENTS';

/** Looks at manifest and receipt of an export; its data is not read. @throws TargetError when the target does not answer */
export async function standingOf(
  target: BackupTarget,
  { name, takenAt, objects, whole }: ExportFolder,
  order: StandingOrder,
): Promise<ExportDetails> {
  const bytes = objects.get(EXPORT_OBJECTS.data) ?? 0;
  const standing = { name, takenAt, bytes, rows: null, verifiedAt: null, fault: '' };
  if (!whole) return { standing: { ...standing, state: 'half' } };
  let found: FoundManifest | undefined;
  try {
    found = await readManifest(target, { realm: order.realm, name, keys: order.keys });
    const rows = found.manifest.parts.reduce((sum, part) => sum + part.rows, 0);
    const unverified = { ...standing, rows, state: 'not verified' } as const;
    if (!objects.has(EXPORT_OBJECTS.receipt)) return { standing: unverified, found };
    // It may be as good as it can be; only nobody here knows whose word counts.
    if (order.recipients.length === 0) return { standing: { ...unverified, fault: UNKNOWN_RECIPIENTS }, found };
    const text = await readObject(target, objectPath(order.realm, name, EXPORT_OBJECTS.receipt));
    const receipt = checkReceipt(text, { manifest: found.text, recipients: order.recipients });
    if (!found.genuine)
      return { standing: { ...unverified, fault: 'no kek.json here to check its manifest with' }, found, receipt };
    return {
      standing: { ...unverified, state: 'verified', verifiedAt: Date.parse(receipt.verifiedAt) },
      found,
      receipt,
    };
  } catch (error) {
    const { code = '', message } = error as BackupError;
    if (!code.startsWith('ERR_BACKUP_')) throw error;
    return { standing: { ...standing, state: 'refused', fault: `${code}: ${message}` }, ...(found ? { found } : {}) };
  }
}
