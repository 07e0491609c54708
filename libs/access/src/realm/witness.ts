import { encodeText, formatBase64Url, parseBase64Url } from '@sallyport/channel';
import type { AccessContext } from './context.ts';

/**
 * How far a database had come at a moment, all of it durable: who has heard of it notices that its machine went back, was
 * copied, or is one whose place another database has taken.
 */
export interface DatabaseWitness {
  readonly epoch: string;
  /** Epochs that this one takes the place of, the newest of them. */
  readonly supersedes: readonly string[];
  /** PostgreSQL's own id of the data directory. */
  readonly system: string;
  /** How far its log of changes had come, bytes. */
  readonly walBytes: number;
  /** Head of the revocation log, and its hash. */
  readonly head: number;
  readonly headHash: string;
  /** Up to here the journal held the log; 0 where there is none. */
  readonly journaled: number;
  /** Head of the audit log: number and hash, hex. */
  readonly audit: { readonly seq: number; readonly hash: string };
  /** When a Security server said so, epoch ms by its clock: for people to read. */
  readonly at: number;
}

/** Whoever sealed it has the keys of the realm. */
type Sealing = Pick<AccessContext, 'keyring'> & { readonly store: Pick<AccessContext['store'], 'realm'> };

const MAX_SUPERSEDED = 64;
const MAX_TEXT = 8_192;

/** `content.mac`, both base64url: for others to keep and to show, not to change. Rows' MACs begin with CBOR, this with a word. */
export function sealWitness({ keyring, store }: Sealing, witness: DatabaseWitness): string {
  const supersedes = witness.supersedes.slice(-MAX_SUPERSEDED);
  const content = formatBase64Url(encodeText(JSON.stringify({ ...witness, supersedes })));
  return `${content}.${formatBase64Url(keyring.mac(sealedPart(store.realm, content)))}`;
}

/** Undefined for what no Security server of this realm has sealed: it proves nothing, whoever brings it. */
export function openWitness({ keyring, store }: Sealing, text: string): DatabaseWitness | undefined {
  const [, content, mac] = (text.length <= MAX_TEXT && /^([\w-]+)\.([\w-]{27})$/.exec(text)) || [];
  if (content === undefined || mac === undefined) return undefined;
  if (!keyring.verifyMac(parseBase64Url(mac), sealedPart(store.realm, content))) return undefined;
  return JSON.parse(Buffer.from(content, 'base64url').toString('utf8')) as DatabaseWitness;
}

function sealedPart(realm: string, content: string): Uint8Array {
  return encodeText(`sallyport/1 witness\n${realm}\n${content}`);
}
