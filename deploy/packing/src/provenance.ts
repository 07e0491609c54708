import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DebianPackage } from './images/system.ts';
import type { Source } from './source.ts';

/** What was built. */
export interface Built {
  readonly name: string;
  /** SHA-256, hex. */
  readonly digest: string;
}

/**
 * How something was built: an in-toto statement with SLSA provenance 1. It is not signed: who publishes images signs them with a
 * key of their own.
 */
export function provenanceOf(
  root: string,
  { revision, seconds }: Source,
  built: Built,
  debian: readonly DebianPackage[],
): string {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: built.name, digest: { sha256: built.digest } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'https://sallyport.example/npm-run-images/v1',
        externalParameters: { command: 'npm run images' },
        internalParameters: { sourceDateEpoch: seconds },
        resolvedDependencies: [
          { name: 'source', digest: { gitCommit: revision } },
          { name: 'package-lock.json', digest: { sha256: lock } },
          ...debian.map(({ name, version, architecture }) => ({
            name: `debian/${name}`,
            annotations: { version, architecture },
          })),
        ],
      },
      runDetails: { builder: { id: 'https://sallyport.example/a-clone' } },
    },
  };
  return `${JSON.stringify(statement, null, 2)}\n`;
}
