import { resolve } from 'node:path';
import { optionalText, readSettings } from '@sallyport/settings';

/** Where npm says that the person was. */
export interface NpmPlace {
  readonly script?: string | undefined;
  readonly place?: string | undefined;
}

const NPM = {
  npm_lifecycle_event: optionalText('the script that npm runs'),
  INIT_CWD: optionalText('where npm was started'),
};

function npmPlace(): NpmPlace {
  const { npm_lifecycle_event: script, INIT_CWD: place } = readSettings(NPM);
  return { script, place };
}

/**
 * A path as the person wrote it: relative to where they are. `npm run` changes into the project's folder before it runs anything, and
 * says where the person was (npm-run-script, INIT_CWD).
 */
export function userPath(path: string, { script, place }: NpmPlace = npmPlace()): string {
  return resolve((script === 'sallyport' ? place : undefined) ?? process.cwd(), path);
}
