import { existsSync, readFileSync } from 'node:fs';

const SHARED = new URL('../../../../shared/', import.meta.url);

/** Reads third-party test data that stands beside the project and is not part of it, as text. */
export function readSharedText(path: string): string {
  const file = new URL(path, SHARED);
  if (!existsSync(file))
    throw new Error(`third-party test data is missing: expected shared/${path} beside the project`);
  return readFileSync(file, 'utf8');
}

/** The same, of JSON. */
export function readShared<T>(path: string): T {
  return JSON.parse(readSharedText(path)) as T;
}

/** True when the folder of third-party data is there; a stranger's clone does not have it. */
export const hasShared: boolean = existsSync(SHARED);

if (!hasShared) console.warn('note: no folder shared/ beside the project, so the third-party vectors are left out');
