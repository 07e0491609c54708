import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { importsOf, type Project, readHouse, violations } from '../src/house.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
const shared = new Set(Object.keys(manifest.devDependencies));
const house = readHouse(root);

test('the house stands: floors only downward, imports declared, references in step', () => {
  expect(house.length).toBeGreaterThan(14);
  expect(violations(house, shared)).toEqual([]);
});

test('every dependency is pinned to one exact version, the same everywhere', () => {
  const versions = new Map<string, Set<string>>();
  for (const folder of [root, ...house.map((project) => project.folder)]) {
    const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
      readFileSync(`${folder}/package.json`, 'utf8'),
    );
    for (const [name, version] of Object.entries({ ...dependencies, ...optionalDependencies, ...devDependencies })) {
      versions.set(name, (versions.get(name) ?? new Set()).add(version as string));
    }
  }
  for (const [name, found] of versions) {
    expect([...found], name).toHaveLength(1);
    expect([...found][0], name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  }
});

/** A transaction that is opened, or a table that is touched. */
const RULES_OF_ROWS = /\.transaction\(|\.tables\b|\{ tables\b/;

test('no app opens a transaction or touches a table: rules of rows live in the domain', () => {
  const files = execFiles(['apps']).filter((file) => file.includes('/src/'));
  expect(files.length).toBeGreaterThan(100);
  for (const file of files) {
    const code = readFileSync(file, 'utf8').replace(/^\s*(\/?\*|\/\/).*$/gm, '');
    expect(code, file).not.toMatch(RULES_OF_ROWS);
  }
  expect('store.transaction(({ tables }) => 1)').toMatch(RULES_OF_ROWS);
});

test('a Proxy knows no tables: what it shares with Security is the log and the time', () => {
  const proxy = house.find(({ name }) => name === '@sallyport/proxy')!;
  const below = (name: string): string[] => {
    const { declared } = house.find((project) => project.name === name)!;
    return [name, ...[...declared].filter((one) => house.some((project) => project.name === one)).flatMap(below)];
  };
  expect(below(proxy.name)).toContain('@sallyport/lease');
  expect(below(proxy.name)).not.toContain('@sallyport/access');
});

test('here every package runs from its sources; when an interrupted pack has left another package.json, git restores it', () => {
  for (const { folder } of house) {
    const { exports = {} } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    expect(JSON.stringify(exports), folder).not.toContain('./dist/');
  }
});

test('the core of the SDK and of the protocol use nothing of Node', () => {
  const pure = ['libs/channel/src', 'libs/device/src'];
  const allowed = /crypto-node\.ts|crypto-sodium\.ts|node\.ts|file-storage\.ts/;
  const files = execFiles(pure).filter((file) => !allowed.test(file));
  expect(files.length).toBeGreaterThan(25);
  for (const file of files) expect(readFileSync(file, 'utf8'), file).not.toMatch(/from 'node:|\bBuffer\b\./);
});

test('only settings reads the environment', () => {
  const files = execFiles(['libs', 'apps']).filter(
    (file) => file.includes('/src/') && !file.includes('libs/settings/'),
  );
  for (const file of files) {
    const text = readFileSync(file, 'utf8').replace(/\.\.\.process\.env\b/g, '');
    expect(text, file).not.toContain('process.env');
  }
});

test('a program that `sallyport` runs ends with it: nothing goes on beside the next try', () => {
  const caller = readFileSync(`${root}/apps/cli/src/security-host.ts`, 'utf8');
  const programs = [...caller.matchAll(/^ {4}\| '([a-z-]+)'/gm)].map(([, name]) => name!);
  expect(programs.length).toBeGreaterThan(7);
  const without = programs.filter(
    (name) => !/^endWithSallyport\(\);$/m.test(readFileSync(`${root}/apps/security/src/commands/${name}.ts`, 'utf8')),
  );
  // It makes its file at once, and waits for nothing.
  expect(without).toEqual(['kek-command']);
});

/** What the parser says of such a file quotes it, and logs keep that: a package's own manifest has no secrets, `named` says only its name. */
const QUOTED_FILE = /JSON\.parse\(\s*readFileSync\((?!new URL\(|join\(folder, 'package\.json'\))/;

test('what may hold secrets is no JSON that a parser quotes: files are read by readJsonFile', () => {
  const files = execFiles(['apps', 'libs']).filter((file) => file.includes('/src/'));
  const found = files.filter((file) => QUOTED_FILE.test(readFileSync(file, 'utf8')));
  expect(found).toEqual([expect.stringContaining('libs/attestation/src/attestation-file.ts')]);
});

const X509 = /^import (?!type)[^;]*from '@peculiar\/x509';$/m;

test('who imports X.509 imports reflect-metadata first: without it the library fails, in all files of the process', () => {
  const files = execFiles(['apps', 'libs', 'test', 'deploy']).filter((file) => X509.test(readFileSync(file, 'utf8')));
  expect(files.length).toBeGreaterThan(8);
  for (const file of files)
    expect(/^import .*$/m.exec(readFileSync(file, 'utf8'))?.[0], file).toBe("import 'reflect-metadata';");
});

function execFiles(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => listTypeScript(`${root}/${folder}`));
}

function listTypeScript(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules') && !file.includes('.tsbuild'))
    .map((file) => `${folder}/${file}`);
}

test('a violation is found: upward, sideways, undeclared, unused', () => {
  const lib = (name: string, floor: string, over: Partial<Project> = {}): Project => ({
    name,
    folder: '',
    floor,
    declared: new Set(),
    references: new Set(),
    imports: new Set(),
    testImports: new Set(),
    ...over,
  });
  const uses = (name: string) => ({ declared: new Set([name]), references: new Set([name]), imports: new Set([name]) });
  const found = violations(
    [
      lib('@sallyport/low', 'kernel', uses('@sallyport/high')),
      lib('@sallyport/high', 'app'),
      lib('@sallyport/beside', 'kernel', uses('@sallyport/low')),
      lib('@sallyport/careless', 'domain', { imports: new Set(['left-pad']) }),
      lib('@sallyport/homeless', ''),
      lib('@sallyport/hoarder', 'app', { ...uses('@sallyport/low'), imports: new Set() }),
      lib('@sallyport/support', 'support', uses('@sallyport/low')),
      lib('@sallyport/leaning', 'app', uses('@sallyport/support')),
      lib('@sallyport/tested', 'kernel', {
        ...uses('@sallyport/support'),
        imports: new Set(),
        testImports: new Set(['@sallyport/support']),
      }),
      lib('@sallyport/trial', 'test', uses('@sallyport/support')),
    ],
    new Set(),
  );
  expect(found).toEqual([
    '@sallyport/low (kernel) may not use @sallyport/high',
    '@sallyport/beside (kernel) may not use @sallyport/low',
    '@sallyport/careless imports left-pad and does not declare it',
    '@sallyport/homeless names no floor',
    '@sallyport/hoarder declares @sallyport/low and does not use it',
    '@sallyport/support (support) may not use @sallyport/low',
    '@sallyport/leaning (app) may not use @sallyport/support',
  ]);
  expect(
    importsOf(`import { a } from 'x';\nimport type {\n b } from '@s/y/z';\nawait ${'import'}('w');\nimport 'v';`),
  ).toEqual(['x', '@s/y', 'w', 'v']);
});
