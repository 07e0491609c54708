import { resolve } from 'node:path';
import { serverCrypto } from '@sallyport/channel/sodium';
import { createKeks } from '../keys/kek.ts';

/** `sallyport kek new FILE`: a first key in a file, before a realm that is to begin with it. */
function newKeks([, , file]: readonly string[]): void {
  if (file === undefined) throw new Error('which file?');
  createKeks(serverCrypto(), resolve(file));
  process.stdout.write(
    `${file} has the first key of a realm: keep it in two places, and in no backup of the database\n`,
  );
}

try {
  newKeks(process.argv);
} catch (error) {
  process.stderr.write(`no key was made: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
