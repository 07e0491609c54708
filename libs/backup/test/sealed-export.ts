import { createHash, createHmac } from 'node:crypto';
import { type ManifestKeys, makeIdentity, type SealedExport, sealExport } from '../src/index.ts';

/** Keys as a realm's keyring has them. */
export function keysOf(secret: string): ManifestKeys {
  const tag = (bytes: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([0, 0, 0, 1]), createHmac('sha256', secret).update(bytes).digest().subarray(0, 16)]);
  return {
    current: 1,
    mac: tag,
    verifyMac: (mac, bytes) => tag(bytes).equals(Buffer.from(mac)),
    checkValue: (kek) => (kek === 1 ? createHash('sha256').update(secret).digest().subarray(0, 16) : undefined),
  };
}

export const SOME_KEYS: ManifestKeys = keysOf('ours');

/** An officer who keeps the private half. */
export const OFFICER: Awaited<ReturnType<typeof makeIdentity>> = await makeIdentity('officer');

/** An export of a small realm `main`, for the officer. */
export async function sealedExport(takenAt: number, keys: ManifestKeys = SOME_KEYS): Promise<SealedExport> {
  let kept = Buffer.alloc(0);
  const facts = {
    ...{ realm: 'main', product: '1', migration: '0001_start', takenAt, epoch: 'e'.repeat(32) },
    log: { head: 0, hash: '' },
    audit: { seq: 0, hash: '' },
  };
  const spool = {
    async write(content: AsyncIterable<Uint8Array>): Promise<void> {
      for await (const piece of content) kept = Buffer.concat([kept, piece]);
    },
    async *read(): AsyncIterable<Uint8Array> {
      yield kept;
    },
  };
  async function* parts() {
    async function* rows(): AsyncIterable<Uint8Array> {
      yield Buffer.from('main\tada\n');
    }
    yield { name: 'users', columns: ['realm', 'name'], rows: rows() };
  }
  return sealExport(facts, parts(), { recipients: [OFFICER.recipient.age], keys, spool });
}
