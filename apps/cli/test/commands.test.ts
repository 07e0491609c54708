import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatLink, type PublicKey } from '@sallyport/channel';
import { afterAll, expect, test } from 'vitest';
import { momentOf } from '../src/commands/sessions.ts';
import { formatBytes, formatTime } from '../src/output.ts';

const CLI = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const folder = mkdtempSync('/tmp/sallyport-cli-');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile('node', [CLI, '--data', folder, ...args], (error, stdout, stderr) => {
      resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr });
    });
    child.stdin?.end();
  });
}

test('every error says what to do next', async () => {
  const status = await run('status');
  expect(status.code).toBe(1);
  expect(status.stderr).toContain('there is no operator profile');
  expect(status.stderr).toContain('npm start');
  expect((await run('device', 'status')).stderr).toContain('sallyport device enroll <link>');
  expect((await run('device', 'fetch', 'http://x/')).stderr).toContain('sallyport device enroll <link>');
  expect((await run('session', 'revoke', 'x')).stderr).toContain('--reason');
  expect((await run('device', 'enroll', 'garbage', '-u', 'ada')).stderr).toContain('sallyport code new <user>');
  const [rs, root] = [new Uint8Array(32).fill(9) as PublicKey, new Uint8Array(32)];
  const parts = { origins: ['ws://localhost:1'], realm: 'main', kid: 1, rs, root, code: 'a-b', seq: 1 };
  const link = formatLink('http://localhost/enroll', parts);
  expect((await run('device', 'enroll', link, '-u', 'ada')).stderr).toContain('--password-stdin');
});

test('help names all commands, unknown ones are refused', async () => {
  const { stdout } = await run('--help');
  for (const command of [
    'up',
    'user',
    'group',
    'resource',
    'policy',
    'code',
    'installation',
    'session',
    'audit',
    'status',
    'device',
    'directory',
    'proxy',
    'site',
    'realm',
  ]) {
    expect(stdout).toContain(`  ${command} `);
  }
  expect((await run('nonsense')).code).not.toBe(0);
});

test('bytes and times read well', () => {
  expect([0, 1023, 1024, 1_500_000, 2 ** 40].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.4 MiB',
    '1.0 TiB',
  ]);
  expect(formatTime(0)).toBe('-');
  expect(formatTime(Date.UTC(2026, 0, 2, 12))).toMatch(/^2026-01-0\d \d\d:\d\d:00$/);
});

test('a token on the command line is refused, because others could read it', async () => {
  const refused = await run('login', 'https://x:1', '--ca', 'nowhere.pem', '--token', 'secret');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('--token-stdin');
  expect((await run('login', '--help')).stdout).not.toMatch(/--token /);
});

test('a missing file is said in words, and required options are marked', async () => {
  const { stderr } = await run('login', 'https://x:1', '--ca', 'nowhere.pem', '--token-stdin');
  expect(stderr).toContain('nowhere.pem: no such file or directory');
  expect(stderr).not.toContain('    at ');
  expect((await run('resource', 'add', '--help')).stdout).toMatch(/--authority[^\n]*\(required\)|\(required\)/);
});

test('a time that is revoked before is a date in the past, never a bare number', () => {
  const now = Date.parse('2026-05-01T12:00:00Z');
  expect(momentOf('2026-05-01', now)).toBe(String(Date.parse('2026-05-01')));
  expect(momentOf('2026-05-01T10:00+02:00', now)).toBe(String(Date.parse('2026-05-01T08:00:00Z')));
  for (const wrong of ['1777636800000', '1777636800', 'yesterday', '2026-13-01', '01.05.2026', ''])
    expect(() => momentOf(wrong, now), wrong).toThrow('is no time');
  expect(() => momentOf('2026-05-01T12:00:01Z', now)).toThrow('is still to come');
});

test.each([
  ['up', '--base-port', 'abc', 'write a number from 1 to 65495 after --base-port'],
  ['up', '--base-port', '65496', 'write a number from 1 to 65495 after --base-port'],
  ['up', '--base-port', '', 'write a number from 1 to 65495 after --base-port'],
  ['cluster up', '--base-port', '0', 'write a number from 1 to 65441 after --base-port'],
  ['cluster up', '--sites', 'two', 'write one after --sites'],
  ['cluster up', '--nodes', '10', 'write one after --nodes'],
])('%s %s %j is refused with what to write', async (command, option, value, next) => {
  const { code, stderr } = await run(...command.split(' '), option, value);
  expect(stderr).toContain(`next: ${next}`);
  expect(stderr).not.toContain('should not have happened');
  expect(code).toBe(1);
});
