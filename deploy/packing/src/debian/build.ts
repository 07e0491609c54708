import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Closure, closureOf } from '../lock.ts';
import { noticeOf } from '../notice/notice.ts';
import { copyPayload } from '../payload.ts';
import { ROLES, type Role } from '../roles.ts';
import { ROOT, type Source } from '../source.ts';
import { controlFiles } from './scripts.ts';
import { type HostService, NODE, PLACE, SERVICES, unitOf } from './unit.ts';

/** A file of a package with its mode. */
type Write = (file: string, text: string, mode?: number) => void;

/** Builds all packages into a folder; gives their files. Needs dpkg-deb, and compresses for minutes less with gzip than with xz. */
export function buildPackages(into: string, source: Source): string[] {
  return [buildNode(into, source), ...ROLES.map((role) => buildPackage(into, role, source))];
}

/** The Node that the project pins: for all packages one. */
function buildNode(into: string, source: Source): string {
  return pack(
    into,
    source,
    { name: 'sallyport-node', about: 'Node, as Sallyport pins it', needs: 'libc6 (>= 2.28), libstdc++6 (>= 12)' },
    (root) => {
      mkdirSync(join(root, dirname(NODE)), { recursive: true });
      cpSync(realpathSync(join(ROOT, 'node_modules/node/bin/node')), join(root, NODE));
    },
  );
}

/** The package of a role, with what its program needs. */
export function buildPackage(
  into: string,
  role: Role,
  source: Source,
  closure: Closure = closureOf(ROOT, role.apps),
): string {
  const service = role.name === 'cli' ? undefined : SERVICES[role.name];
  const needs = [`sallyport-node (= ${source.version})`, ...(service ? ['systemd', 'debconf (>= 0.5)'] : [])].join(
    ', ',
  );
  const beside =
    role.name === 'cli'
      ? ''
      : role.name === 'security'
        ? 'Conflicts: sallyport-cli\nProvides: sallyport-cli\nRecommends: postgresql\n'
        : '';
  const said = { name: `sallyport-${role.name}`, about: role.title, more: role.description, needs, beside };
  return pack(into, source, said, (root, write) => {
    copyPayload(ROOT, closure, join(root, PLACE, role.name));
    write(`usr/share/doc/sallyport-${role.name}/copyright`, readFileSync(join(ROOT, 'LICENSE'), 'utf8'));
    write(`usr/share/doc/sallyport-${role.name}/NOTICE`, noticeOf(role.apps));
    if (role.apps.includes('apps/cli'))
      write('usr/bin/sallyport', `#!${NODE}\nimport('${PLACE}/${role.name}/apps/cli/src/main.ts');\n`, 0o755);
    if (service) writeService(write, role, service);
  });
}

function writeService(write: Write, role: Role, service: HostService): void {
  const { user, data } = service;
  const name = `sallyport-${role.name}`;
  write(`usr/lib/systemd/system/${name}.service`, unitOf(role, service));
  write(`usr/lib/sysusers.d/${name}.conf`, `u ${user} - "${role.title}" /var/lib/${data}\n`);
  write(`usr/lib/tmpfiles.d/${name}.conf`, `d /var/lib/${data} 0700 ${user} ${user} -\n`);
  write(`etc/sallyport/${role.name}.env`, environmentOf(role, service), 0o600);
  for (const [file, text] of Object.entries(controlFiles(role, service)))
    write(`DEBIAN/${file}`, text, /^(post|pre)/.test(file) ? 0o755 : 0o644);
}

/** Settings of a host that listens to itself alone: what is to be open is said by whoever opens it. */
function environmentOf(role: Role, { data }: HostService): string {
  return `# Settings of ${role.title}, mode 0600: docs/operator.md has all of them, deploy/production an example of a farm.\nSALLYPORT_DATA=/var/lib/${data}\n`;
}

interface Said {
  readonly name: string;
  readonly about: string;
  readonly more?: string;
  readonly needs: string;
  readonly beside?: string;
}

function pack(
  into: string,
  { version, seconds }: Source,
  said: Said,
  fill: (root: string, write: Write) => void,
): string {
  const root = mkdtempSync('/var/tmp/sallyport-package-');
  const write: Write = (file, text, mode = 0o644) => {
    mkdirSync(join(root, dirname(file)), { recursive: true });
    writeFileSync(join(root, file), text, { mode });
  };
  try {
    write('DEBIAN/control', '');
    fill(root, write);
    write('DEBIAN/control', controlOf(said, version));
    // Whatever the umask of who builds it: folders may be entered, files read, nothing written but by root.
    execFileSync('chmod', ['-R', 'u+rwX,go+rX,go-w', root]);
    execFileSync('sh', ['-c', 'chmod -f 0600 "$1"/etc/sallyport/*.env || true', 'sh', root]);
    mkdirSync(into, { recursive: true });
    const file = join(into, `${said.name}_${version}_${architecture()}.deb`);
    const options = ['--root-owner-group', '-Zgzip', '-z6', '--build', root, file];
    execFileSync('dpkg-deb', options, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
    });
    return file;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function controlOf({ name, about, more = about, needs, beside = '' }: Said, version: string): string {
  return `Package: ${name}
Version: ${version}
Architecture: ${architecture()}
Maintainer: Sallyport <packages@sallyport.example>
Section: net
Priority: optional
Depends: ${needs}
${beside}Description: ${about}
 ${more}.
`;
}

function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}
