import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKeyring } from '@sallyport/access';
import {
  type BackupIdentity,
  type BackupTarget,
  EXPORT_OBJECTS,
  formatIdentity,
  formatReceipt,
  issueReceipt,
  makeIdentity,
  objectPath,
  openFolderTarget,
  putExport,
  sealExport,
} from '@sallyport/backup';
import { parseBase64Url } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { ChildPostgres, readSnapshot } from '@sallyport/store-sql';

/** Where exports of a test go, and who opens them. */
export interface ExportPlace {
  readonly folder: string;
  readonly identity: BackupIdentity;
  readonly identityFile: string;
}

/** Makes a place for exports, and an identity beside it. */
export async function makeExportPlace(folder: string): Promise<ExportPlace> {
  const target = join(folder, 'exports');
  await mkdir(target, { recursive: true });
  const identity = await makeIdentity('test');
  const identityFile = join(folder, 'identity.txt');
  await writeFile(identityFile, formatIdentity(identity));
  return { folder: target, identity, identityFile };
}

/** What is not as always: where it goes, and when it seems to have been taken, epoch ms. */
interface OtherExport {
  readonly target?: BackupTarget;
  readonly takenAt?: number;
}

/** Takes an export of the realm of a data folder whose Security server runs, as a verified one; gives its name. */
export async function takeExport(
  data: string,
  { folder, identity }: Pick<ExportPlace, 'folder' | 'identity'>,
  other: OtherExport = {},
): Promise<string> {
  const place = { folder: join(data, 'database'), passwordFile: join(data, 'security', 'database-password') };
  const { current, keys } = JSON.parse(readFileSync(join(data, 'security', 'kek.json'), 'utf8')) as {
    current: number;
    keys: Record<string, string>;
  };
  const keks = new Map(Object.entries(keys).map(([id, key]) => [Number(id), parseBase64Url(key)]));
  const keyring = createKeyring(nodeCrypto(), keks, current);
  const pieces: Uint8Array[] = [];
  const spool = {
    write: async (content: AsyncIterable<Uint8Array>) => {
      for await (const piece of content) pieces.push(piece);
    },
    async *read() {
      yield* pieces;
    },
  };
  const address = ChildPostgres.addressOf(place);
  const sealed = await readSnapshot(address, { realm: 'main', replicated: false }, (snapshot) => {
    const parts = async function* () {
      for (const part of snapshot.parts) yield { ...part, rows: part.rows() };
    };
    const takenAt = other.takenAt ?? snapshot.takenAt;
    const facts = { ...snapshot, takenAt, realm: 'main', product: '0.1.0' };
    return sealExport(facts, parts(), { recipients: [identity.recipient.age], keys: keyring, spool });
  });
  const target = other.target ?? (await openFolderTarget(folder));
  await putExport(target, sealed);
  const { manifest, text } = sealed;
  const receipt = issueReceipt(identity, { manifest, text, product: '0.1.0', verifiedAt: Date.now(), macs: true });
  const content = async function* () {
    yield Buffer.from(formatReceipt(receipt));
  };
  await target.put(objectPath('main', manifest.name, EXPORT_OBJECTS.receipt), content());
  return manifest.name;
}
