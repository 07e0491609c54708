import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { memoryStorage } from '@sallyport/device';
import type { OpenDevice } from './farm.ts';
import { say } from './stores.ts';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const MIGRATIONS = join('libs', 'store-sql', 'migrations');
/** What `--before` says for the last release, or the last commit with another schema while nothing is released. */
const LAST = 'last';
/** Production only, of the lock file of that version; nothing of it is built, and its scripts do not run here. */
const INSTALL = ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
/** Room for an archive of the sources, bytes. */
const MAX_ARCHIVE_BYTES = 1 << 28;

/** A version of the project from before this one, with its own dependencies, ready to run. */
export interface EarlierVersion {
  /** Commit, or the folder that was named. */
  readonly name: string;
  readonly folder: string;
}

/** Where a project is, and where versions of it are kept. */
export interface VersionPlaces {
  readonly project: string;
  readonly cache: string;
}

const PLACES: VersionPlaces = {
  project: PROJECT,
  cache: join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'sallyport', 'versions'),
};

/**
 * Makes the version that is named ready to run: `last`, a tag or commit of this clone, or a folder with the project as it was. A commit
 * is kept outside of this project, with dependencies by its own lock file, so that nothing of the two versions is shared.
 * @throws Error that says what is missing, and how to get it
 */
export function prepareVersion(wanted: string, places: VersionPlaces = PLACES): EarlierVersion {
  if (existsSync(join(wanted, 'package.json'))) return folderOf(resolve(wanted));
  const commit = wanted === LAST ? lastOf(places.project) : commitOf(places.project, wanted);
  const folder = join(places.cache, commit);
  if (!existsSync(folder)) install(commit, folder, places.project);
  return { name: commit.slice(0, 12), folder };
}

/** Opens devices with the SDK of a version: what people have on their phones while the farm is upgraded. */
export async function sdkOf({ folder }: EarlierVersion): Promise<OpenDevice> {
  const load = (file: string) => import(pathToFileURL(join(folder, 'libs', 'device', 'src', file)).href);
  const [sdk, node] = await Promise.all([load('index.ts'), load('node.ts')]);
  const newStorage = sdk.memoryStorage as typeof memoryStorage;
  return (context) => node.openDevice(newStorage(), context);
}

/** Migrations that a version knows, by name. */
export function migrationsOf(folder: string = PROJECT): readonly string[] {
  const files = readdirSync(join(folder, MIGRATIONS)).filter((name) => name.endsWith('.sql'));
  return files.map((name) => name.replace('.sql', '')).sort();
}

function folderOf(folder: string): EarlierVersion {
  if (existsSync(join(folder, 'node_modules', '@sallyport'))) return { name: folder, folder };
  throw new Error(`${folder} has no dependencies of its own: run npm ${INSTALL.join(' ')} there`);
}

/** The last tag behind this commit; with none, the last commit before the newest migration. */
function lastOf(project: string): string {
  demandHistory(project);
  const tag = git(project, 'describe', '--tags', '--abbrev=0', 'HEAD^');
  if (tag !== undefined) return commitOf(project, tag);
  const newest = join(MIGRATIONS, `${migrationsOf(project).at(-1)}.sql`);
  const added = git(project, 'log', '-1', '--format=%H', '--diff-filter=A', '--', newest);
  if (!added) throw new Error(`${newest} is in no commit: name an earlier version, as --before COMMIT`);
  say(`nothing is released: the version before is the last commit without ${newest}`);
  return commitOf(project, `${added}^`);
}

function commitOf(project: string, name: string): string {
  demandHistory(project);
  const commit = git(project, 'rev-parse', '--verify', '--quiet', `${name}^{commit}`);
  if (commit) return commit;
  throw new Error(`this clone has no commit ${name}. ${howToGet(project)}`);
}

function demandHistory(project: string): void {
  if (git(project, 'rev-parse', '--git-dir') !== undefined) return;
  throw new Error(
    `${project} is no git clone, so it has no earlier version: clone the repository, or unpack an earlier version elsewhere, ` +
      `run npm ${INSTALL.join(' ')} there and name its folder, as --before FOLDER`,
  );
}

function howToGet(project: string): string {
  const shallow = git(project, 'rev-parse', '--is-shallow-repository') === 'true';
  return shallow
    ? 'Its history is cut off: git fetch --unshallow --tags brings the rest'
    : 'git fetch --tags brings what the repository has; git log lists what is here';
}

/** What git says, or undefined when it refuses. */
function git(project: string, ...args: string[]): string | undefined {
  try {
    return execFileSync('git', ['-C', project, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

function install(commit: string, folder: string, project: string): void {
  say(`${commit} is fetched from the history and gets its dependencies, in ${folder}`);
  mkdirSync(dirname(folder), { recursive: true });
  const draft = mkdtempSync(`${folder}.part-`);
  try {
    const sources = execFileSync('git', ['-C', project, 'archive', commit], { maxBuffer: MAX_ARCHIVE_BYTES });
    execFileSync('tar', ['-x', '-C', draft], { input: sources });
    execFileSync('npm', INSTALL, { cwd: draft, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
    renameSync(draft, folder);
  } catch (error) {
    // Another run made it meanwhile.
    if (existsSync(folder)) return;
    const { stderr = '' } = error as { stderr?: string | Buffer };
    throw new Error(`${commit} could not be made ready: npm ${INSTALL.join(' ')} wants a registry. ${stderr}`, {
      cause: error,
    });
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
