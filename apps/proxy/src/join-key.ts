import { existsSync, readFileSync } from 'node:fs';
import { newProxyKey } from '@sallyport/security-client';
import { replacePrivateFile } from '@sallyport/settings';

/** The file of the key with which a Proxy joins, beside the one of its identity. */
export function joinKeyFile(identityFile: string): string {
  return `${identityFile}.key`;
}

/**
 * The key with which a Proxy joins, PEM. It is on the disk before Security hears of it: whoever joined with it may ask again, also by its
 * next process, when the answer was lost. The key of the identity that the Proxy had is joined with no more: perhaps somebody else has it.
 */
export async function keptJoinKey(identityFile: string, before?: string): Promise<string> {
  const file = joinKeyFile(identityFile);
  if (!existsSync(file) || readFileSync(file, 'utf8') === before) replacePrivateFile(file, await newProxyKey());
  return readFileSync(file, 'utf8');
}
