import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Writes the internal CA, PEM, where operators and whoever deploys Proxies find it: it is no secret. */
export function writeCaFile({ SALLYPORT_DATA: data }: { readonly SALLYPORT_DATA: string }, certificate: string): void {
  const file = join(data, 'security', 'ca.pem');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, certificate.endsWith('\n') ? certificate : `${certificate}\n`);
}
