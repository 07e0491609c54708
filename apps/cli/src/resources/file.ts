import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { ResourcesInput, ResourceView } from '@sallyport/security-api';
import { parseDocument, stringify } from 'yaml';
import { CliError } from '../output.ts';
import { readStdin } from '../secrets.ts';
import { userPath } from '../user-path.ts';

type Fields = Readonly<Record<string, unknown>>;
type Inputs = ResourcesInput['resources'];

/** What stands in files of its own, and never in this one. */
const SECRETS: ReadonlySet<string> = new Set(['password', 'key']);
const HEAD = `# sallyport resource apply -f <this file>
# Passwords and keys are not in here: those that are stored stay. A new one is given as password: {file: <path>}.
`;

/** Reads a file of resources, YAML or JSON; `-` is standard input. Files that it names lie beside it. @throws CliError */
export async function readResourceFile(file: string): Promise<Inputs> {
  const path = userPath(file);
  const text = file === '-' ? await readStdin() : readFileSync(path, 'utf8');
  return parseResources(text, file === '-' ? process.cwd() : dirname(path));
}

/** Resources from the text of a file; what it names by `{file: …}` is read in `folder`. @throws CliError */
export function parseResources(text: string, folder: string): Inputs {
  const document = parseDocument(text);
  const [fault] = document.errors;
  if (fault) throw new CliError(`the file is neither YAML nor JSON: ${fault.message.split('\n', 1)[0]}`);
  const content: unknown = document.toJS();
  const named = isFields(content) ? content['resources'] : undefined;
  if (!isFields(named) || Object.keys(content as Fields).length > 1)
    throw new CliError('the file holds no resources', 'it begins with "resources:", then names; see: resource export');
  return Object.entries(named).map(([name, one]) => inputOf(name, one, folder));
}

function inputOf(name: string, one: unknown, folder: string): Inputs[number] {
  if (!isFields(one) || !isFields(one['backend'])) throw new CliError(`${name}: there is no backend`);
  const backend = filled(name, one['backend'], folder) as Fields;
  const tcp = String(backend['url']).startsWith('tcp:');
  const input = { kind: tcp ? 'tcp' : 'http', ...one, name, backend: { networks: [], ...backend } };
  // The server checks it: what is wrong is said by its schema's words.
  return input as unknown as Inputs[number];
}

/** The value with the files that it names in it. */
function filled(name: string, value: unknown, folder: string, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => filled(name, item, folder));
  if (!isFields(value)) {
    if (!SECRETS.has(key)) return value;
    throw new CliError(
      `${name}: ${key} does not stand in this file`,
      `write it into one of its own: ${key}: {file: …}`,
    );
  }
  const file = value['file'];
  if (typeof file === 'string' && Object.keys(value).length === 1)
    return readFileSync(resolve(folder, file), 'utf8').replace(/\r?\n$/, SECRETS.has(key) ? '' : '\n');
  return Object.fromEntries(Object.entries(value).map(([inner, one]) => [inner, filled(name, one, folder, inner)]));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Resources as a file that `resource apply` reads; it changes nothing where they come from. */
export function formatResources(views: readonly ResourceView[]): string {
  return HEAD + stringify(fileOf(views), { lineWidth: 0 });
}

/** What the file holds, for JSON. */
export function fileOf(views: readonly ResourceView[]): object {
  return { resources: Object.fromEntries(views.map((view) => [view.name, entryOf(view)])) };
}

function entryOf({ name, title, authority, sites, region, backend }: ResourceView): object {
  const place = { sites, ...(region === null ? {} : { region }) };
  return { authority, ...(title === name ? {} : { title }), ...place, backend };
}
