import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type Farm, renderedFile } from './chart.ts';

/** Of PyPI: the schemas of every version of Kubernetes. */
const VALIDATOR = 'kubernetes-validate==1.37.0';
/** The newest three that it has. */
const VERSIONS = ['1.35', '1.36', '1.37'] as const;
/** Kinds that others bring; their schemas are in npm, for `npm test`. */
const OF_OTHERS = /^(?:gateway\.networking\.k8s\.io|monitoring\.coreos\.com)\//;

const JUDGE = `import json, sys, kubernetes_validate
wrong = 0
objects = json.load(sys.stdin)
for version in sys.argv[1:]:
    for one in objects:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            wrong += 1
            print(version, one["kind"], one["metadata"]["name"], error.message)
sys.exit(1 if wrong else 0)
`;

/** Holds the manifests of farms against the schemas of the newest three versions of Kubernetes; gives how many objects. @throws Error */
export function judgeBySchemas(
  folder: string,
  farms: readonly Farm[],
): { objects: number; versions: readonly string[] } {
  const python = validatorIn(folder);
  const objects = farms.flatMap((farm) =>
    parseAllDocuments(readFileSync(renderedFile(farm), 'utf8'), { version: '1.1' })
      .map((document) => document.toJS())
      .filter((object) => object !== null && !OF_OTHERS.test(object.apiVersion)),
  );
  execFileSync(python, ['-c', JUDGE, ...VERSIONS], {
    input: JSON.stringify(objects),
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  return { objects: objects.length, versions: VERSIONS };
}

/** The Python that has the validator: it is installed once. */
function validatorIn(folder: string): string {
  const place = join(folder, 'validator');
  const python = join(place, 'bin', 'python');
  if (existsSync(join(place, 'bin', 'kubernetes-validate'))) return python;
  execFileSync('python3', ['-m', 'venv', place]);
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', VALIDATOR], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return python;
}
