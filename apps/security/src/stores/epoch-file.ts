import { existsSync } from 'node:fs';
import type { KnownLife } from '@sallyport/access';
import { readJsonFile, replacePrivateFile } from '@sallyport/settings';

/** What the node knows; undefined before its first start. */
export function readKnownLife(file: string): KnownLife | undefined {
  return existsSync(file) ? (readJsonFile(file) as KnownLife) : undefined;
}

export function writeKnownLife(file: string, life: KnownLife): void {
  replacePrivateFile(file, `${JSON.stringify(life)}\n`);
}
