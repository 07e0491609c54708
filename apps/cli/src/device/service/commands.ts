import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CliError } from '../../output.ts';
import { globalsOf } from '../../program.ts';
import { say } from '../../terminal.ts';
import { addPortOptions, readForwardOptions, type WrittenOptions } from '../forward/options.ts';
import { type RunProgram, runProgram } from '../trust/run-program.ts';
import { formatUnit, UNIT_NAME } from './unit.ts';

/** `sallyport device service …` */
export function addServiceCommands(device: Command): void {
  const service = device
    .command('service')
    .description('keep `device forward` running while you are logged in (a unit of your own systemd)');
  addPortOptions(
    service.command('install').description('write the unit and start it; again with other options changes it'),
  ).action((options: WrittenOptions, command: Command) => {
    readForwardOptions(options);
    const args = ['--data', resolve(globalsOf(command).data), 'device', 'forward', ...wordsOf(options)];
    installUnit(userUnit(homedir()), { program: process.execPath, args: [MAIN, ...args] }, runProgram);
    say`${UNIT_NAME} is installed and runs; what it says: journalctl --user -u ${UNIT_NAME} -e\n`;
    say`it ends when you log out; to keep it: loginctl enable-linger\n`;
  });
  service
    .command('remove')
    .description('stop it and take the unit away')
    .action(() => {
      removeUnit(userUnit(homedir()), runProgram);
      say`${UNIT_NAME} is gone\n`;
    });
  service
    .command('status')
    .description('whether it is installed and runs; fails when it does not')
    .action(() => {
      const { installed, state } = unitStatus(userUnit(homedir()), runProgram);
      say`${UNIT_NAME}: ${installed ? 'installed' : 'not installed'}, ${state}\n`;
      if (state !== 'active') process.exitCode = 1;
    });
}

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));

/** Where a user's systemd looks for units of the user. */
export function userUnit(home: string): string {
  return join(home, '.config', 'systemd', 'user', UNIT_NAME);
}

/** The options that were given, as they are written. */
function wordsOf({ port, socks, tcp = [] }: WrittenOptions): readonly string[] {
  return [
    '--port',
    port,
    ...(socks === undefined ? [] : socks === true ? ['--socks'] : ['--socks', socks]),
    ...tcp.flatMap((one) => ['--tcp', one]),
  ];
}

/** Writes the unit, enables it and starts it anew. When systemd does not take it, nothing stays. @throws CliError */
export function installUnit(file: string, unit: Parameters<typeof formatUnit>[0], run: RunProgram): void {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  demandSystemd(run, `run it by yourself: sallyport device forward, or put that into the autostart of your desktop`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, formatUnit(unit), { mode: 0o644 });
  try {
    systemctl(run, 'daemon-reload');
    systemctl(run, 'enable', UNIT_NAME);
    systemctl(run, 'restart', UNIT_NAME);
  } catch (error) {
    if (before === undefined) rmSync(file, { force: true });
    else writeFileSync(file, before);
    throw error;
  }
}

/** Stops and disables the unit and removes its file; nothing to do when it is not there. @throws CliError */
export function removeUnit(file: string, run: RunProgram): void {
  const there = existsSync(file);
  const manager = run('systemctl', ['--user', 'show-environment']);
  if (manager?.ok && there) systemctl(run, 'disable', '--now', UNIT_NAME);
  rmSync(file, { force: true });
  rmSync(join(dirname(file), 'default.target.wants', UNIT_NAME), { force: true });
  if (manager?.ok) systemctl(run, 'daemon-reload');
}

/** Whether the unit is there, and what systemd says of it. */
export function unitStatus(file: string, run: RunProgram): { readonly installed: boolean; readonly state: string } {
  const installed = existsSync(file);
  const end = run('systemctl', ['--user', 'is-active', UNIT_NAME]);
  const state = !end ? 'no systemd on this machine' : NO_MANAGER.test(end.output) ? NOT_RUNNING : end.output;
  return { installed, state };
}

const NO_MANAGER = /Failed to connect to bus|No medium found|not been booted with systemd/i;
const NOT_RUNNING = "this user's systemd does not run";

function demandSystemd(run: RunProgram, next: string): void {
  const manager = run('systemctl', ['--user', 'show-environment']);
  if (!manager) throw new CliError('there is no systemd on this machine', next);
  if (!manager.ok) throw new CliError(NOT_RUNNING, next);
}

function systemctl(run: RunProgram, ...args: readonly string[]): void {
  const end = run('systemctl', ['--user', ...args]);
  if (!end?.ok) throw new CliError(`systemctl --user ${args.join(' ')} failed: ${end?.output.split('\n')[0] ?? ''}`);
}
