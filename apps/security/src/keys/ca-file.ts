import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Writes the internal CAs that count, PEM, where operators and whoever deploys Proxies find them: they are no secret. Replaced whole,
 * because somebody may be reading.
 */
export function writeCaFile(
  { SALLYPORT_DATA: data }: { readonly SALLYPORT_DATA: string },
  authorities: readonly string[],
): void {
  const file = join(data, 'security', 'ca.pem');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${authorities.map((pem) => pem.trimEnd()).join('\n')}\n`);
  renameSync(`${file}.new`, file);
}
