import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';

/** Floors from the ground up. A project may use projects of lower floors only, never of its own. */
const FLOORS: readonly string[] = ['kernel', 'protocol', 'contract', 'domain', 'adapter', 'app', 'test'];

/**
 * Beside the house stands what its tests need and sell to nobody: it uses nothing of ours, tests of every floor and projects
 * of the floor `test` may use it, sources of the others never.
 */
const SUPPORT = 'support';

/** One project of the workspace. */
export interface Project {
  readonly name: string;
  readonly folder: string;
  readonly floor: string;
  /** Declared dependencies, ours and others. */
  readonly declared: ReadonlySet<string>;
  readonly references: ReadonlySet<string>;
  /** Imported packages of the sources, and of the tests. */
  readonly imports: ReadonlySet<string>;
  readonly testImports: ReadonlySet<string>;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)|(?:^|\n)import\s*['"]([^'"]+)['"]/g;

/** Packages that a text of TypeScript imports; relative ones and Node's own are left out. */
export function importsOf(text: string): string[] {
  const found = [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3]!);
  return found
    .filter((name) => /^[@a-z]/.test(name) && !name.startsWith('node:') && !builtinModules.includes(name))
    .map(packageOf);
}

function packageOf(specifier: string): string {
  const [first = '', second = ''] = specifier.split('/');
  return first.startsWith('@') ? `${first}/${second}` : first;
}

function sourcesUnder(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
    .map((file) => readFileSync(join(folder, file), 'utf8'));
}

/** Reads a project from its folder. */
function readProject(folder: string): Project {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const config = JSON.parse(readFileSync(join(folder, 'tsconfig.json'), 'utf8'));
  const floors = (manifest.nx?.tags ?? []).filter((tag: string) => tag.startsWith('layer:'));
  const { dependencies = {}, optionalDependencies = {}, devDependencies = {} } = manifest;
  const collect = (name: string): Set<string> => new Set(sourcesUnder(join(folder, name)).flatMap(importsOf));
  return {
    name: manifest.name,
    folder,
    floor: floors.length === 1 ? floors[0].slice('layer:'.length) : '',
    declared: new Set(Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies })),
    references: new Set(
      (config.references ?? []).map(({ path }: { path: string }) => `@sallyport/${path.split('/').pop()}`),
    ),
    imports: new Set([...collect('src'), ...collect('web')]),
    testImports: collect('test'),
  };
}

/** Reads all projects of the workspace. */
export function readHouse(root: string): Project[] {
  return ['libs', 'apps', 'test', 'deploy'].flatMap((top) =>
    readdirSync(join(root, top))
      .map((name) => join(root, top, name))
      .filter((folder) => existsSync(join(folder, 'package.json')))
      .map(readProject),
  );
}

/** Everything that breaks the rules of the house, in words. */
export function violations(projects: readonly Project[], shared: ReadonlySet<string>): string[] {
  const floorOf = new Map(projects.map(({ name, floor }) => [name, FLOORS.indexOf(floor)]));
  const supports = new Set(projects.filter(({ floor }) => floor === SUPPORT).map(({ name }) => name));
  return projects.flatMap((project) => {
    const own = floorOf.get(project.name)!;
    const ours = [...project.declared].filter((name) => floorOf.has(name));
    const maySupport = (name: string): boolean =>
      supports.has(name) && (project.floor === 'test' || !project.imports.has(name));
    return [
      ...(own < 0 && !supports.has(project.name) ? [`${project.name} names no floor`] : []),
      ...ours
        .filter((name) => (supports.has(name) ? !maySupport(name) : floorOf.get(name)! >= own))
        .map((name) => `${project.name} (${project.floor}) may not use ${name}`),
      ...ours
        .filter((name) => !project.references.has(name))
        .map((name) => `${project.name}: tsconfig.json lacks the reference to ${name}`),
      ...[...project.references]
        .filter((name) => !project.declared.has(name))
        .map((name) => `${project.name}: the reference to ${name} is not declared`),
      ...[...project.imports]
        .filter((name) => !project.declared.has(name))
        .map((name) => `${project.name} imports ${name} and does not declare it`),
      ...[...project.testImports]
        .filter((name) => !project.declared.has(name) && !shared.has(name) && name !== project.name)
        .map((name) => `${project.name}: a test imports ${name} and nobody declares it`),
      ...ours
        .filter((name) => !project.imports.has(name) && !project.testImports.has(name))
        .map((name) => `${project.name} declares ${name} and does not use it`),
    ];
  });
}
