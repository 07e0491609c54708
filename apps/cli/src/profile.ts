import { existsSync } from 'node:fs';
import { readJsonFile, replacePrivateFile } from '@sallyport/settings';
import { CliError } from './output.ts';

/** How this machine's operator reaches the admin API. In a file of mode 0600. */
export interface OperatorProfile {
  readonly url: string;
  /** Where the other nodes answer, which are asked when this one does not. */
  readonly others?: readonly string[];
  /** PEM of the gateway's CA. */
  readonly ca: string;
  readonly name: string;
  readonly token: string;
  /** When the credential ends, epoch ms; absent in profiles of before. */
  readonly expiresAt?: number;
  /** The provider at which the operator signs in, instead of renewing. */
  readonly provider?: string;
}

/** Reads the profile. @throws CliError that says how to get one */
export function loadProfile(file: string): OperatorProfile {
  if (!existsSync(file)) {
    throw new CliError(
      `there is no operator profile at ${file}`,
      'start the gateway here with "npm start", or run: sallyport login <url> --ca <file>',
    );
  }
  return readJsonFile(file) as OperatorProfile;
}

/** Writes JSON to a file of mode 0600, whole or not at all. */
export function storePrivate(file: string, value: unknown): void {
  replacePrivateFile(file, `${JSON.stringify(value, null, 2)}\n`);
}
