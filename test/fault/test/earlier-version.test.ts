import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { prepareVersion } from '../src/earlier-version.ts';

let place: string;
let project: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'sallyport-versions-'));
  project = join(place, 'project');
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

const places = () => ({ project, cache: join(place, 'cache') });
const prepare = (wanted: string) => prepareVersion(wanted, places());
const AUTHOR = ['-c', 'user.name=a', '-c', 'user.email=a@example.com', '-c', 'commit.gpgsign=false'];
const git = (...args: string[]) =>
  execFileSync('git', ['-C', project, ...AUTHOR, ...args], { encoding: 'utf8' }).trim();

/** A commit of a project that knows one more migration, if one is named; gives its name. */
function commit(subject: string, migration?: string): string {
  const folder = join(project, 'libs/store-sql/migrations');
  mkdirSync(folder, { recursive: true });
  if (migration) writeFileSync(join(folder, `${migration}.sql`), '');
  const manifest = { name: 'project', version: '1.0.0', description: subject };
  writeFileSync(join(project, 'package.json'), JSON.stringify(manifest));
  const lock = { ...manifest, lockfileVersion: 3, packages: { '': manifest } };
  writeFileSync(join(project, 'package-lock.json'), JSON.stringify(lock));
  if (!existsSync(join(project, '.git'))) git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('commit', '-qm', subject);
  return git('rev-parse', 'HEAD');
}

const subjectIn = (folder: string) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).description;

test('the last is the newest tag behind this commit; with none, the last commit with another schema', () => {
  commit('first', '0001_start');
  const before = commit('before');
  commit('newest', '0002_more');
  commit('now');
  const last = prepare('last');
  expect(last.name).toBe(before.slice(0, 12));
  expect(subjectIn(last.folder)).toBe('before');
  expect(existsSync(join(last.folder, 'libs/store-sql/migrations/0002_more.sql'))).toBe(false);
  // What is there already is taken as it is: inside of a farm's namespaces there is no registry.
  writeFileSync(join(last.folder, 'kept'), '');
  expect(existsSync(join(prepare('last').folder, 'kept'))).toBe(true);
  git('tag', 'v1', 'HEAD^');
  expect(subjectIn(prepare('last').folder)).toBe('newest');
  // The tag of this very commit is no version before it.
  git('tag', 'v2');
  expect(subjectIn(prepare('last').folder)).toBe('newest');
  expect(subjectIn(prepare('v2').folder)).toBe('now');
});

test('what is missing is said, and how to get it', () => {
  mkdirSync(project);
  expect(() => prepare('last')).toThrow(/no git clone.*--before FOLDER/);
  commit('first', '0001_start');
  expect(() => prepare('v9')).toThrow(/no commit v9.*git fetch --tags/);
  expect(() => prepare('last')).toThrow(/no commit .*\^/);
  commit('second', '0002_more');
  const whole = project;
  project = join(place, 'shallow');
  execFileSync('git', ['clone', '-q', '--depth', '1', `file://${whole}`, project]);
  expect(() => prepare('last')).toThrow(/git fetch --unshallow --tags/);
});

test('a folder is taken as it is, once it has dependencies of its own', () => {
  commit('first', '0001_start');
  expect(() => prepare(project)).toThrow(/no dependencies of its own: run npm ci --omit=dev/);
  mkdirSync(join(project, 'node_modules/@sallyport'), { recursive: true });
  expect(prepare(project)).toEqual({ name: project, folder: project });
});
