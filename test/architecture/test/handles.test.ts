import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readSources, type SourceFile } from '../src/sources.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const access = readSources(root, 'libs/access');

/** Files of access that write to the audit log by hand, and why `change` does not do it for them. */
const OWN_AUDIT: Readonly<Record<string, string>> = {
  'realm/audit.ts': 'it is the log; a refusal stands for itself, without a change',
  'realm/change.ts': 'it writes what a change has said',
  'realm/retention.ts': 'it cuts the log itself, under the lock of its head',
  'keys/kek-node.ts': 'the nodes finish a turn long after whoever began it, on the bare store',
  'session/enrolment.ts': 'an enrolment has locks of its own, and its refusal is on record too',
  'session/sessions.ts': 'a login has locks of its own, and is measured',
  'session/session-end.ts': 'each login ends what it replaces, and locks the realm only when there is something',
  'backup/turns.ts': 'a turn locks its target alone, and nothing that it finds is a change of somebody',
  'directory/bindings.ts': 'a sign-in asks an officer, and changes nothing yet',
  'operators/operator-tokens.ts': 'whoever redeems a token or signs in is known only once the token was looked at',
};

test('whatever changes rows for somebody does so by `change`, which locks first and audits last', () => {
  const calls = /(?<!function )\bappendAudit(Each)?\(/;
  const found = access.filter(({ text }) => calls.test(text)).map(({ path }) => path.slice('libs/access/src/'.length));
  expect(found.sort()).toEqual(Object.keys(OWN_AUDIT).sort());
});

const TAKES_REALM = /(?:^|,)\s*(?:\w+|\{[^}]*\}): AccessContext\b/;
const TAKES_CHANGE = /(?:^|,)\s*(?:\w+|\{[^}]*\}): Change\b/;

/** Names of functions that take both the realm and a change of it. */
function twoHanded({ text }: SourceFile): string[] {
  const heads = text.matchAll(/^export (?:async )?function (\w+)[^{]*?\(([^)]*)\)/gm);
  const both = [...heads].filter(([, , head]) => TAKES_REALM.test(head!) && TAKES_CHANGE.test(head!));
  return both.map(([, name]) => name!);
}

test('a function takes the realm or a change of it, never both: the change knows its realm', () => {
  expect(access.flatMap(twoHanded)).toEqual([]);
});

test('only stores and tests see tables: no app takes anything of the second entry of access', () => {
  const apps = ['cli', 'intranet', 'phone', 'proxy', 'security'].flatMap((name) => readSources(root, `apps/${name}`));
  expect(apps.length).toBeGreaterThan(100);
  expect(apps.filter(({ text }) => text.includes("'@sallyport/access/store'")).map(({ path }) => path)).toEqual([]);
});

/** Lines that take a value for something else without a comment beside or above them that says why. */
function unexplainedCasts({ path, text }: Pick<SourceFile, 'path' | 'text'>): string[] {
  const lines = text.split('\n');
  const isComment = (line = ''): boolean => /^\s*\/\/|\*\/\s*$/.test(line);
  return lines.flatMap((line, i) =>
    /\bas unknown as\b/.test(line) && !line.includes('//') && !isComment(lines[i - 1]) ? [`${path}:${i + 1}`] : [],
  );
}

test('a value is taken for something else only where a comment says why', () => {
  const projects = ['apps', 'libs'].flatMap((top) => readdirSync(`${root}/${top}`).map((name) => `${top}/${name}`));
  const sources = projects.flatMap((project) => readSources(root, project));
  expect(sources.length).toBeGreaterThan(300);
  expect(sources.flatMap(unexplainedCasts)).toEqual([]);
  expect(unexplainedCasts({ path: 'a.ts', text: 'const x = y as unknown as Z;' })).toEqual(['a.ts:1']);
});
