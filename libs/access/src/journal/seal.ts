import { concat, encodeCbor, encodeText, formatBase64Url, parseBase64Url } from '@sallyport/channel';
import type { KeptRevocation, RevocationKind, RevocationSeal } from '@sallyport/security-api';
import type { RevocationRow } from '../revocation/rows.ts';
import type { Keyring } from '../sealing/keyring.ts';

/**
 * What a restored database has to hear of, should its journal be lost. It ends all sessions by itself, so that those entries are
 * no use to it; a lift, or rights, would give what a later entry, which nobody has kept, may have taken.
 */
const WORTH_KEEPING: ReadonlySet<RevocationKind> = new Set(['installation', 'user', 'credentials', 'app', 'proxy']);
/** Ids that clients make are shorter; no Proxy is told a longer one. */
const MAX_REQUEST_ID = 256;

/** True for an entry that Proxies keep. */
export function isWorthKeeping({ kind, requestId }: Pick<RevocationRow, 'kind' | 'requestId'>): boolean {
  return WORTH_KEEPING.has(kind) && requestId.length <= MAX_REQUEST_ID;
}

/** Whose seal it is. */
export interface Sealer {
  readonly keyring: Pick<Keyring, 'mac' | 'verifyMark'>;
  readonly realm: string;
}

type SealedPart = Omit<KeptRevocation, 'seal'>;

/** Bytes that no row's MAC is over: those begin with an array of CBOR. */
function sealedBytes(realm: string, { epoch, index, requestId, kind, subject, at, hash }: SealedPart): Uint8Array {
  const body = encodeCbor([realm, epoch, index, requestId, kind, subject, at, hash]);
  return concat(encodeText('sallyport/1 kept revocation'), body);
}

/** Seals of the entries that Proxies keep, for whoever gets the entries themselves. */
export function sealsOf({ keyring, realm }: Sealer, epoch: string, rows: readonly RevocationRow[]): RevocationSeal[] {
  return rows.filter(isWorthKeeping).map((row) => {
    const { index, requestId } = row;
    return { index, requestId, seal: formatBase64Url(keyring.mac(sealedBytes(realm, { epoch, ...row }))) };
  });
}

/**
 * True when Security has written this very entry, in this realm and epoch, also with a key that is retired since: it ends something,
 * and must not be lost because a key was turned.
 */
export function isSealed({ keyring, realm }: Sealer, { seal, ...entry }: KeptRevocation): boolean {
  const mac = bytesOf(seal);
  return mac !== undefined && keyring.verifyMark(mac, sealedBytes(realm, entry));
}

function bytesOf(seal: string): Uint8Array | undefined {
  try {
    return parseBase64Url(seal);
  } catch {
    return undefined;
  }
}
