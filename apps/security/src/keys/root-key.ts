import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonFile } from '@sallyport/settings';
import type { JWK } from 'jose';

/** Where a root key lies that an escrow gave back, for a realm that is built anew. */
export function rootKeyFileOf({ SALLYPORT_DATA: data }: { readonly SALLYPORT_DATA: string }): string {
  return join(data, 'security', 'root-key.json');
}

/** The root key in that file; undefined when there is none. @throws Error for something else */
export function readRootKey(file: string): JWK | undefined {
  if (!existsSync(file)) return undefined;
  const { kty, crv, x, d, updates } = parsed(file);
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string' || typeof d !== 'string')
    throw new Error(`${file} holds no root key: "sallyport escrow open --root-key" writes one`);
  return { kty, crv, x, d, ...(typeof updates === 'string' ? { updates } : {}) };
}

function parsed(file: string): JWK & { readonly updates?: unknown } {
  try {
    return readJsonFile(file) as JWK;
  } catch {
    return {};
  }
}

/** Once the realm has it, it is wrapped in its database and lies in no file. @throws Error when the realm has another one */
export function settleRootKey(file: string, given: JWK | undefined, own: JWK): void {
  if (!given) return;
  if (given.x !== own.x)
    throw new Error(
      `the realm has another root key than ${file}: that one is for a realm that is built anew; remove the file`,
    );
  rmSync(file);
}
