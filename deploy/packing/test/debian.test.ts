import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { buildPackage } from '../src/debian/build.ts';
import { controlFiles } from '../src/debian/scripts.ts';
import { SERVICES, unitOf } from '../src/debian/unit.ts';
import { closureOf } from '../src/lock.ts';
import { ROLES } from '../src/roles.ts';
import { ROOT } from '../src/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-debian-'));
afterAll(() => rmSync(folder, { recursive: true }));
const SOURCE = { version: '0.1.0', revision: 'x', seconds: 1_700_000_000 };
const [security, proxy] = ROLES as [(typeof ROLES)[number], (typeof ROLES)[number]];
const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

test.skipIf(!has('dpkg-deb'))(
  'the package of a Proxy has its program, its unit and its settings, and belongs to root',
  () => {
    // What npm brought is listed by packed.test.ts.
    const file = buildPackage(folder, proxy, SOURCE, { ...closureOf(ROOT, proxy.apps), packages: [] });
    const out = (...args: string[]) => execFileSync('dpkg-deb', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
    const lines = out('--contents', file)
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/));
    const modeOf = (path: string) => lines.find((fields) => fields[5] === path)?.[0];
    expect(modeOf('./etc/sallyport/proxy.env')).toBe('-rw-------');
    expect(modeOf('./usr/lib/systemd/system/sallyport-proxy.service')).toBe('-rw-r--r--');
    expect(modeOf('./usr/lib/sysusers.d/sallyport-proxy.conf')).toBe('-rw-r--r--');
    expect(modeOf('./usr/lib/sallyport/proxy/apps/proxy/src/main.ts')).toBe('-rw-r--r--');
    for (const [mode = '', owner = ''] of lines) {
      expect(owner).toBe('root/root');
      // Written by nobody else, and no set-uid.
      if (!mode.startsWith('l')) expect(mode).toMatch(/^[-d]rw[-x]r?-?[-x]?-?r?-?[-x]?-?$/);
    }
    const paths = lines.map((fields) => fields[5]!);
    const top = new Set(
      paths.map((path) => path.split('/').slice(0, 4).join('/')).filter((path) => path.split('/').length === 4),
    );
    expect([...top].filter((path) => !/^\.\/(usr\/(lib|share|bin)|etc\/sallyport)\//.test(path))).toEqual([]);
    expect(paths.filter((path) => /\/test\/|\.pem$|kek\.json|\/bin\/(sh|node)$/.test(path))).toEqual([]);
    expect(out('--field', file, 'Depends')).toBe('sallyport-node (= 0.1.0), systemd, debconf (>= 0.5)\n');
    expect(out('--info', file, 'conffiles')).toBe('/etc/sallyport/proxy.env\n');
    const script = 'dpkg-deb --fsys-tarfile "$1" | tar -xO ./etc/sallyport/proxy.env';
    const environment = execFileSync('sh', ['-c', script, 'sh', file], { encoding: 'utf8' });
    expect(environment).toMatch(/^SALLYPORT_DATA=\/var\/lib\/sallyport-proxy$/m);
  },
);

test('scripts of packages are sound for a POSIX shell, and a purge removes nothing that nobody was asked about', () => {
  for (const role of [security, proxy]) {
    const files = controlFiles(role, SERVICES[role.name as 'security' | 'proxy']);
    for (const name of ['postinst', 'prerm', 'postrm']) {
      const file = join(folder, name);
      writeFileSync(file, files[name]!);
      execFileSync('sh', ['-n', file]);
    }
    expect(files['templates']).toContain('Default: false');
    expect(files['postinst']).toContain('try-restart');
    expect(files['postrm']!.match(/rm -rf/g)).toHaveLength(1);
    expect(files['postrm']).toMatch(/\[ "\$RET" = true \]; then rm -rf \/var\/lib\/sallyport/);
  }
});

test('units are hardened: what systemd says of them is no worse than what the document says', () => {
  if (!has('systemd-analyze')) return void process.stdout.write('skipped: no systemd-analyze here\n');
  const document = readFileSync(new URL('../../../docs/packages.md', import.meta.url), 'utf8');
  for (const role of [security, proxy]) {
    const file = join(folder, `sallyport-${role.name}.service`);
    writeFileSync(file, unitOf(role, SERVICES[role.name as 'security' | 'proxy']));
    const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', file], {
      encoding: 'utf8',
    });
    const [, level] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout) ?? [];
    expect(Number(level), stdout).toBeGreaterThan(0);
    expect(document).toContain(`${level} of 10`);
    expect(Number(level)).toBeLessThan(2);
  }
});
