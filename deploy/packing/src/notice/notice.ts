import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { closureOf, type Package } from '../lock.ts';
import { ROLES } from '../roles.ts';
import { ROOT } from '../source.ts';

/** Where it lies, from the root of the project. */
export const NOTICE_FILE = 'NOTICE';

const HEAD = `Sallyport
Copyright the Sallyport authors, Apache-2.0 (LICENSE).

What images and packages of Sallyport bring with them, made from the lock file by "npm run notice". Node and the packages of the
system that are in an image have theirs in /usr/share/doc and in the bill of materials of the image.
`;
const RULE = '='.repeat(100);
/** Packages with what was compiled for one kind of machine, of which only some are installed: their licence is that of what they belong to. */
const COMPILED = /-(?:linux|darwin|win32|android|freebsd|openharmony|wasm32)(?:-|$)/;
const LICENCE = /^(?:licen[cs]e|copying|notice)(?:[.-]|$)/i;

/** What packages that programs need while they run are licensed under, with the words of their licences, each once. */
export function noticeOf(apps: readonly string[] = ROLES.flatMap((role) => role.apps)): string {
  const { packages } = closureOf(ROOT, [...new Set(apps)]);
  const byWords = Map.groupBy(packages, wordsOf);
  const parts = [...byWords].map(([words, some]) => {
    const names = [...new Set(some.map((one) => `${one.name} ${one.version}  (${licenceOf(one) ?? NONE})`))];
    return `${RULE}\n${names.join('\n')}\n\n${words}\n`;
  });
  return `${HEAD}\n${parts.join('\n')}`;
}

const NONE = 'its own words, below';

/** As the lock file has it, or as packages said it before there was SPDX. */
function licenceOf({ folder, license }: Package): string | undefined {
  const manifest = join(ROOT, folder, 'package.json');
  if (license !== undefined || !existsSync(manifest)) return license;
  const { licenses = [] } = JSON.parse(readFileSync(manifest, 'utf8')) as { licenses?: { type: string }[] };
  return licenses.length === 0 ? undefined : licenses.map(({ type }) => type).join(' OR ');
}

function wordsOf(one: Package): string {
  if (COMPILED.test(one.name)) return 'Compiled parts, licensed as the package that they belong to.';
  const place = join(ROOT, one.folder);
  const files = existsSync(place) ? readdirSync(place).filter((name) => LICENCE.test(name)) : [];
  const texts = files.sort().map((name) => readFileSync(join(place, name), 'utf8').replaceAll('\r\n', '\n').trim());
  return texts.join('\n\n') || `Without a text of its licence, ${licenceOf(one) ?? 'and names none'}.`;
}

/** Licences under which others' code may be in a program that is Apache-2.0, without its sources beside it. */
const FITTING = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** Packages whose licence is none that fits, `name version: licence`. */
export function unfittingOf(apps: readonly string[] = ROLES.flatMap((role) => role.apps)): string[] {
  return closureOf(ROOT, [...new Set(apps)])
    .packages.filter((one) => !fits(licenceOf(one) ?? ''))
    .map((one) => `${one.name} ${one.version}: ${licenceOf(one) ?? 'none'}`);
}

/** An SPDX expression of a package: of `OR` one side is enough, of `AND` both are needed. */
function fits(expression: string): boolean {
  const bare = expression.replaceAll(/[()]/g, '');
  return bare.split(/\s+OR\s+/).some((choice) => choice.split(/\s+AND\s+/).every((one) => FITTING.has(one.trim())));
}
