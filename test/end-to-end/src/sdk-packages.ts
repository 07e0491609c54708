import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '@sallyport/support';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Folders of the packages, each behind those that it needs. */
const PACKAGES = ['channel', 'device'];
/** What a clone needs to pack them, beside what is installed. */
const PARTS = [
  'package.json',
  'tsconfig.base.json',
  'tsconfig.package.json',
  'deploy/sdk',
  'libs/channel',
  'libs/device',
];

/** A package.json, as far as it is read here. */
export interface Manifest {
  readonly exports: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Runs the compiler on a project in a folder of an app; gives what it says. */
export async function typeProblems(config: string): Promise<string> {
  return (await runCommand(join(ROOT, 'node_modules/.bin/tsc'), ['-p', config])).stdout;
}

/** Reads the package.json of a folder. */
export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

/** What was packed, the packages each behind those that it needs. */
export interface Packed {
  /** Paths of the tarballs. */
  readonly tarballs: readonly string[];
  /** Folders of which they were packed. */
  readonly sources: readonly string[];
}

/** Runs npm and says everything that it said when it fails. */
async function npm(folder: string, ...args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runCommand('npm', ['--prefix', folder, ...args], {
    environment: { INIT_CWD: folder },
  });
  if (code !== 0) throw new Error(`npm ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
}

/**
 * Packs the SDK by `npm pack`, as in a clone. In a copy, because a clone is changed while it packs, and other tests run from it.
 * `folder` is empty.
 */
export async function packSdk(folder: string): Promise<Packed> {
  const unbuilt = (path: string): boolean => !/^(?:node_modules|\.tsbuild|dist|test)$/.test(basename(path));
  for (const part of PARTS) cpSync(join(ROOT, part), join(folder, part), { recursive: true, filter: unbuilt });
  linkInstalled(folder);
  const tarballs = join(folder, 'tarballs');
  mkdirSync(tarballs);
  await npm(
    folder,
    'pack',
    ...PACKAGES.map((name) => `--workspace=@sallyport/${name}`),
    '--pack-destination',
    tarballs,
  );
  return {
    tarballs: PACKAGES.map((name) => join(tarballs, `sallyport-${name}-0.1.0.tgz`)),
    sources: PACKAGES.map((name) => join(folder, 'libs', name)),
  };
}

/** Everything that is installed here is installed in the copy; our own packages are those of the copy. */
function linkInstalled(folder: string): void {
  const installed = join(folder, 'node_modules');
  mkdirSync(join(installed, '@sallyport'), { recursive: true });
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((entry) => entry !== '@sallyport'))
    symlinkSync(join(ROOT, 'node_modules', name), join(installed, name));
  for (const name of PACKAGES) symlinkSync(join(folder, 'libs', name), join(installed, '@sallyport', name));
}

/**
 * Installs tarballs in an empty folder as an app would, without any network: what they need of others is copied from what is installed
 * here, and npm finds it there.
 */
export async function installSdk(folder: string, { tarballs, sources }: Packed): Promise<void> {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'an-app', private: true, type: 'module' }));
  for (const source of sources) copyNeeded(source, folder);
  await npm(folder, 'install', '--offline', '--no-audit', '--no-fund', ...tarballs);
}

function copyNeeded(source: string, folder: string): void {
  const { dependencies, optionalDependencies } = readManifest(source);
  const needed = Object.keys({ ...dependencies, ...optionalDependencies });
  for (const name of needed.filter((other) => !other.startsWith('@sallyport/'))) {
    const installed = join(ROOT, 'node_modules', name);
    cpSync(installed, join(folder, 'node_modules', name), { recursive: true });
    copyNeeded(installed, folder);
  }
}

/** The ten lines of the guide for app developers: those for a browser, and with the lines of Node in their place. */
export function readTenLines(): { browser: string; node: string } {
  const guide = readFileSync(join(ROOT, 'docs/app-developer.md'), 'utf8');
  const section = guide.slice(guide.indexOf('## Ten lines'));
  const [browser, node] = [...section.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, lines]) => lines!);
  const opening = /^import [\s\S]*?\nconst device = .*\n/;
  return { browser: browser!, node: browser!.replace(opening, node!) };
}
