import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../source.ts';
import { withSupport } from './document.ts';

/** The document of what is supported, from the root of the project. */
export const SUPPORT_FILE = 'docs/support.md';

/** Its text as it should be. */
export function supportDocument(): string {
  return withSupport(readFileSync(join(ROOT, SUPPORT_FILE), 'utf8'));
}
