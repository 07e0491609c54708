import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { installUnit, removeUnit, unitStatus, userUnit } from '../src/device/service/commands.ts';
import { formatUnit } from '../src/device/service/unit.ts';
import type { RunProgram } from '../src/device/trust/run-program.ts';

const home = mkdtempSync('/tmp/sallyport-home-');
afterAll(() => rmSync(home, { recursive: true, force: true }));
const file = userUnit(home);
const COMMAND = {
  program: process.execPath,
  args: ['/opt/a b/main.ts', '--data', '/home/ada/100%/$HOME "x"\\', '--tcp', '5432=db.corp:5432'],
};

/** A systemd that says yes, but for the verbs that fail; what it was asked. */
function systemd(...failing: string[]): { run: RunProgram; asked: string[] } {
  const asked: string[] = [];
  const run: RunProgram = (program, args) => {
    asked.push([program, ...args].join(' '));
    const fails = failing.includes(args[1]!);
    return { ok: !fails, output: fails ? 'Failed to connect to bus: No medium found' : 'active' };
  };
  return { run, asked };
}

test('the unit is written, enabled and started, and changed by installing it again', () => {
  const { run, asked } = systemd();
  installUnit(file, COMMAND, run);
  expect(asked.slice(1)).toEqual([
    'systemctl --user daemon-reload',
    'systemctl --user enable sallyport-forward.service',
    'systemctl --user restart sallyport-forward.service',
  ]);
  installUnit(file, { ...COMMAND, args: ['other'] }, run);
  expect(readFileSync(file, 'utf8')).toContain(`ExecStart=${process.execPath} other\n`);
  expect(unitStatus(file, run)).toEqual({ installed: true, state: 'active' });
  removeUnit(file, run);
  removeUnit(file, run);
  expect(existsSync(file)).toBe(false);
  expect(asked).toContain('systemctl --user disable --now sallyport-forward.service');
});

test('where no systemd runs for the user it says so and leaves nothing', () => {
  const none: RunProgram = () => undefined;
  expect(() => installUnit(file, COMMAND, none)).toThrow('no systemd on this machine');
  expect(() => installUnit(file, COMMAND, systemd('show-environment').run)).toThrow('does not run');
  expect(existsSync(file)).toBe(false);
  expect(unitStatus(file, none).state).toBe('no systemd on this machine');
  expect(unitStatus(file, systemd('is-active').run).state).toContain('does not run');
  removeUnit(file, none);
});

test('a unit that systemd does not take leaves what was there before', () => {
  const { run } = systemd('restart');
  expect(() => installUnit(file, COMMAND, run)).toThrow('restart');
  expect(existsSync(file)).toBe(false);
  installUnit(file, COMMAND, systemd().run);
  const before = readFileSync(file, 'utf8');
  expect(() => installUnit(file, { ...COMMAND, args: ['other'] }, run)).toThrow('restart');
  expect(readFileSync(file, 'utf8')).toBe(before);
});

test('nothing in a path is expanded or taken for another word', () => {
  expect(formatUnit(COMMAND)).toContain(
    String.raw`ExecStart=${process.execPath} "/opt/a b/main.ts" --data "/home/ada/100%%/$$HOME \"x\"\\" --tcp 5432=db.corp:5432`,
  );
});

test('no path ends the line that it stands in', () => {
  const unit = formatUnit({
    program: '/usr/bin/node',
    args: ['--data', '/home/a\n[Service]\r\nExecStartPre=/x\t\u0085'],
  });
  expect(unit).toContain(
    String.raw`ExecStart=/usr/bin/node --data "/home/a\x0a[Service]\x0d\x0aExecStartPre=/x\x09\xc2\x85"`,
  );
});

const hasVerify = spawnSync('systemd-analyze', ['--version']).status === 0;
test.skipIf(!hasVerify)('systemd finds no fault in the unit', () => {
  const unit = join(home, 'sallyport-forward.service');
  writeFileSync(unit, formatUnit({ program: process.execPath, args: ['/opt/a b/main.ts', 'device', 'forward'] }));
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  expect(stdout + stderr).toBe('');
  expect(status).toBe(0);
});
