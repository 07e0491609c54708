import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The user whom images run as; databases and volumes see this number. */
export const USER_ID = 65_532;

/** Debian packages of which an image has the libraries: what Node is linked with, and nothing that can be run. */
const LIBRARIES = ['libc6', 'libstdc++6', 'libgcc-s1'];
const TAKEN = [...LIBRARIES, 'base-files'];
/** What is taken of them, from the root. */
const KEPT =
  /^(?:usr\/)?lib(?:64)?\/(?:x86_64-linux-gnu\/|aarch64-linux-gnu\/)?[^/]+\.so[^/]*$|^usr\/lib\/os-release$|^etc\/debian_version$/;

/** A package of Debian in an image. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}

/**
 * Makes the root of an image in a folder: the C and C++ libraries of Debian, a user, a name service, and folders that may be
 * written. No shell and no other program. Gives the packages that it comes from. Needs the Debian package mmdebstrap.
 */
export function makeSystem(into: string): DebianPackage[] {
  const scratch = mkdtempSync('/var/tmp/sallyport-system-');
  try {
    const root = join(scratch, 'root');
    const options = ['--variant=extract', `--include=${TAKEN.join(',')}`, '--skip=cleanup/apt', '--quiet'];
    execFileSync('mmdebstrap', [...options, 'bookworm', root], { stdio: ['ignore', 'ignore', 'inherit'] });
    for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => KEPT.test(path))) {
      mkdirSync(dirname(join(into, file)), { recursive: true });
      cpSync(join(root, file), join(into, file), { verbatimSymlinks: true });
    }
    for (const name of LIBRARIES) keepLicence(root, name, into);
    writeFiles(into);
    return debianPackages(root);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function keepLicence(root: string, name: string, into: string): void {
  const file = join('usr/share/doc', name, 'copyright');
  if (!existsSync(join(root, file))) return;
  mkdirSync(dirname(join(into, file)), { recursive: true });
  cpSync(join(root, file), join(into, file), { dereference: true });
}

/** Who runs, and how names are found. The embedded tools of Node and of databases want their number to have a name. */
function writeFiles(into: string): void {
  const files = {
    'etc/passwd': `root:x:0:0:root:/:/nonexistent\nsallyport:x:${USER_ID}:${USER_ID}:Sallyport:/var/lib/sallyport:/nonexistent\n`,
    'etc/group': `root:x:0:\nsallyport:x:${USER_ID}:\n`,
    'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  };
  mkdirSync(join(into, 'etc'), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(into, name), text);
}

/** Versions by the names of the archives that were unpacked: nothing else knows them, because nothing was installed. */
function debianPackages(root: string): DebianPackage[] {
  const archives = readdirSync(join(root, 'var/cache/apt/archives')).filter((name) => name.endsWith('.deb'));
  const known = archives.sort().map((archive) => {
    const [name = '', version = '', architecture = ''] = archive.slice(0, -'.deb'.length).split('_');
    return { name, version: decodeURIComponent(version), architecture };
  });
  const taken = known.filter(({ name }) => TAKEN.includes(name));
  if (taken.length < TAKEN.length) throw new Error(`of ${TAKEN.join(', ')} only ${taken.length} were unpacked`);
  return taken;
}
