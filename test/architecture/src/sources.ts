import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** One file of TypeScript, and what it imports of its own project, types too. */
export interface SourceFile {
  /** Path from the root of the house, like `libs/access/src/realm/change.ts`. */
  readonly path: string;
  readonly text: string;
  /** Paths of the files that it imports by relative names, whatever it takes of them. */
  readonly imports: readonly string[];
}

const RELATIVE =
  /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*['"](\.[^'"]+)['"]|import\(['"](\.[^'"]+)['"]\)|(?:^|\n)import\s*['"](\.[^'"]+)['"]/g;

/** Relative imports of a file, as paths from the root. */
function relativeImportsOf(path: string, text: string): string[] {
  return [...text.matchAll(RELATIVE)].map((match) => join(dirname(path), match[1] ?? match[2] ?? match[3]!));
}

const SOURCE_FOLDERS = ['src', 'web'];

/** All files of the sources of a project. @param project its folder from the root, like `libs/access` */
export function readSources(root: string, project: string, folders: readonly string[] = SOURCE_FOLDERS): SourceFile[] {
  return folders
    .map((folder) => join(root, project, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.includes('node_modules'))
        .sort()
        .map((name) => {
          const path = relative(root, join(folder, name));
          const text = readFileSync(join(folder, name), 'utf8');
          return { path, text, imports: relativeImportsOf(path, text) };
        }),
    );
}

/** Arrows of a graph: from each name to those that it uses. */
export type Arrows = ReadonlyMap<string, readonly string[]>;

/**
 * Circles of a graph: groups of two or more in which each reaches each, sorted (Tarjan, 1972). A circle of imports is one file
 * in several pieces, also when only types close it.
 */
export function circlesOf(arrows: Arrows): string[][] {
  const found: string[][] = [];
  const seen = new Map<string, { low: number; index: number; open: boolean }>();
  const stack: string[] = [];
  const visit = (name: string): { low: number; index: number; open: boolean } => {
    const own = { low: seen.size, index: seen.size, open: true };
    seen.set(name, own);
    stack.push(name);
    for (const next of arrows.get(name) ?? []) {
      const known = seen.get(next);
      if (!known) own.low = Math.min(own.low, visit(next).low);
      else if (known.open) own.low = Math.min(own.low, known.index);
    }
    if (own.low === own.index) {
      const circle = stack.splice(stack.indexOf(name));
      for (const member of circle) seen.get(member)!.open = false;
      if (circle.length > 1) found.push(circle.sort());
    }
    return own;
  };
  for (const name of arrows.keys()) if (!seen.has(name)) visit(name);
  return found.sort((a, b) => (a[0]! < b[0]! ? -1 : 1));
}

/** Room of a file: the first folder inside of `src` or `web`; files that lie beside the rooms are the hall, ''. */
export function roomOf(path: string): string {
  const parts = path.split('/').slice(3);
  return parts.length > 1 ? parts[0]! : '';
}
