import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  doubtsOfResource,
  judgeChartValues,
  judgeEnvironment,
  type KnownServer,
  type LintFault,
  parseEnvironmentFile,
  type ValuesFile,
} from '@sallyport/lint';
import type { ResourceView } from '@sallyport/security-api';
import { LineCounter, parseDocument } from 'yaml';
import { CliError } from '../output.ts';
import { parseResources } from '../resources/file.ts';
import { knownChart, knownServer } from '../servers/known.ts';
import { userPath } from '../user-path.ts';

interface NamedFile extends ValuesFile {
  readonly path: string;
  readonly kind: 'environment' | 'resources' | 'values';
}

/** Judges environment files, files of resources, and values for the chart, which count together as Helm takes them. */
export async function judgeFiles(names: readonly string[], chart: string | undefined): Promise<LintFault[]> {
  const files = names.map(fileNamed);
  const values = files.filter(({ kind }) => kind === 'values');
  const faults: LintFault[] = [];
  for (const file of files) {
    if (file.kind === 'environment') faults.push(...(await ofEnvironment(file)));
    if (file.kind === 'resources') faults.push(...ofResources(file));
  }
  if (values.length > 0) faults.push(...judgeChartValues(values, await knownChart(chart)));
  return faults;
}

function fileNamed(where: string): NamedFile {
  const path = userPath(where);
  const text = readFileSync(path, 'utf8');
  return { where, path, text, kind: kindOf(where, text) };
}

function kindOf(name: string, text: string): NamedFile['kind'] {
  if (!/\.(ya?ml|json)$/.test(name)) return 'environment';
  return /^\s*["']?resources["']?\s*:/m.test(text) && parseDocument(text).has('resources') ? 'resources' : 'values';
}

async function ofEnvironment({ where, path, text }: NamedFile): Promise<LintFault[]> {
  const variables = parseEnvironmentFile(text);
  const server = await serverOf(
    where,
    variables.map(({ name }) => name),
  );
  return judgeEnvironment({ where, variables, mode: statSync(path).mode, place: 'host' }, server);
}

/** Whose file it is: by its name, else by settings that only one of them has. @throws CliError */
async function serverOf(file: string, names: readonly string[]): Promise<KnownServer> {
  for (const name of ['security', 'proxy'] as const) if (file.includes(name)) return knownServer(name);
  const servers = await Promise.all((['security', 'proxy'] as const).map(knownServer));
  const [security, proxy] = servers.map(({ settings }) => names.filter((name) => name in settings).length);
  if (security === proxy) throw new CliError(`${file}: is it of Security or of a Proxy?`, 'let its name say so');
  return servers[security! > proxy! ? 0 : 1]!;
}

function ofResources({ where, path, text }: NamedFile): LintFault[] {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  return parseResources(text, dirname(path)).flatMap((resource) => {
    const offset = (document.getIn(['resources', resource.name], true) as { range?: [number] } | undefined)?.range?.[0];
    const line = offset === undefined ? {} : { line: counter.linePos(offset).line };
    return doubtsOfResource(resource as ResourceView).map(
      (what): LintFault => ({
        where,
        ...line,
        severity: 'error',
        what: `${resource.name}: ${what}`,
        change: 'this resource',
      }),
    );
  });
}
