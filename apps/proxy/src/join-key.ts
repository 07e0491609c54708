import { existsSync, readFileSync } from 'node:fs';
import { newProxyKey } from '@sallyport/security-client';
import { replacePrivateFile } from '@sallyport/settings';

/** The file of the key with which a Proxy joins, beside the one of its identity. */
export function joinKeyFile(identityFile: string): string {
  return `${identityFile}.key`;
}

/**
 * The key with which a Proxy joins, PEM. It is on the disk before Security hears of it: whoever joined with it may ask again, also by its
 * next process, when the answer was lost.
 */
export async function keptJoinKey(identityFile: string): Promise<string> {
  const file = joinKeyFile(identityFile);
  if (!existsSync(file)) replacePrivateFile(file, await newProxyKey());
  return readFileSync(file, 'utf8');
}
