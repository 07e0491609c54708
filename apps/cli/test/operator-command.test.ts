import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const CLI = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const folder = mkdtempSync('/tmp/sallyport-cli-');

/** Answers by method and path; whatever is not named fails. */
const answers = new Map<string, unknown>();
/** CAs that count, PEM: what the gateway says with every answer. */
let authorities = '';
const server = createServer((request, response) => {
  const answer = answers.get(`${request.method} ${request.url?.split('?')[0]}`);
  request.resume().on('end', () => {
    response.statusCode = answer === undefined ? 500 : 200;
    if (authorities !== '') response.setHeader('sallyport-authorities', hash('sha256', authorities));
    response.end(JSON.stringify(answer ?? { code: 'ERR_HTTP_INTERNAL', title: 'something went wrong on our side' }));
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
mkdirSync(join(folder, 'cli'));
const profileFile = join(folder, 'cli', 'operator.json');
function writeProfile(ca: string): void {
  writeFileSync(profileFile, JSON.stringify({ url, ca, name: 'olga', token: 'spo' }));
}
writeProfile('');
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile('node', [CLI, '--data', folder, ...args], (error, stdout, stderr) => {
      resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr });
    });
    child.stdin?.end();
  });
}

const FAILS = 'something went wrong on our side';

test('a directory that was added is shown, also when it cannot be tried', async () => {
  const directory = { name: 'entra', kind: 'scim', stage: 'active', settings: {}, createdAt: 1, accounts: 0, users: 0 };
  answers.set('PUT /v1/directories/entra', { ...directory, groups: 0, running: false, conflicts: [] });
  const added = await run('directory', 'add', 'scim', 'entra');
  expect(added.stdout).toContain('entra');
  expect(added.stderr).toContain(FAILS);
  expect(added.code).toBe(1);
});

test('a resource that was added or is looked at is shown, also when the others cannot be read', async () => {
  const backend = { url: 'https://wiki.internal', networks: [] };
  const wiki = {
    name: 'wiki',
    kind: 'http',
    authority: 'wiki.corp',
    title: 'wiki',
    sites: null,
    region: null,
    backend,
  };
  for (const method of ['PUT', 'GET']) answers.set(`${method} /v1/resources/wiki`, wiki);
  const how = ['--authority', 'wiki.corp', '--backend', backend.url];
  for (const args of [
    ['add', 'wiki', ...how],
    ['show', 'wiki'],
  ]) {
    const { code, stdout, stderr } = await run('resource', ...args);
    expect(stdout).toContain('wiki.internal');
    expect(stderr).toContain(FAILS);
    expect(code).toBe(1);
  }
  answers.set('GET /v1/resources', [wiki]);
  expect(JSON.parse((await run('--json', 'resource', 'add', 'wiki', ...how)).stdout)).toMatchObject([
    { name: 'wiki', backend: backend.url, settings: [] },
  ]);
  expect(await run('resource', 'list')).toMatchObject({ code: 0, stdout: expect.stringContaining('wiki.internal') });
});

function pem(text: string): string {
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}

test('a next CA of the gateway is kept beside the one that is known, and one of somebody else stays as it is', async () => {
  const known = (): string => (JSON.parse(readFileSync(profileFile, 'utf8')) as { ca: string }).ca;
  answers.set('GET /v1/resources', []);
  const [old, next, balancer] = [pem('AAAA'), pem('BBBB'), pem('CCCC')];
  authorities = `${next}\n${old}`;
  answers.set('GET /v1/certificate-authorities', { authorities });
  writeProfile(balancer);
  expect((await run('resource', 'list')).code).toBe(0);
  expect(known()).toBe(balancer);
  writeProfile(old.trim());
  expect((await run('resource', 'list')).code).toBe(0);
  expect(known()).toBe(authorities);
  authorities = '';
});

test('a key of the realm is replaced until the next one is used, or until backends have time to read it', async () => {
  const key = (id: string, state: string) => ({ id, state, createdAt: 1, usedAt: null });
  const change = { begun: false, waitingFor: [], usesAt: null, retiresAt: null };
  answers.set('GET /v1/key-changes/assertion', { ...change, keys: [key('assertion-1', 'in use')] });
  const coming = [key('assertion-2', 'coming'), key('assertion-1', 'in use')];
  answers.set('POST /v1/key-changes/assertion', { ...change, begun: true, keys: coming, usesAt: 4_000_000_000_000 });
  const both = [key('root-2', 'in use'), key('root-1', 'trusted')];
  answers.set('GET /v1/key-changes/root', { ...change, keys: both, retiresAt: 4_000_000_000_000 });
  const rotate = (what: string) => run('--reason', 'once a year', 'certificate', 'rotate', what);
  const [shown, under, none] = await Promise.all([rotate('assertion'), rotate('root'), rotate('kek')]);
  expect(shown).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/shows assertion-2 .* signs with it from 2096/),
  });
  expect(under).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/root-2 is in use; root-1 is trusted beside it/),
  });
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('say ca, root or assertion') });
});

test.each([
  ['   ', 'why? disabling a user needs a reason'],
  ['', 'why? disabling a user needs a reason'],
  ['ab', 'a reason is one line of 3 to 500 characters that says why'],
])(
  'who says %j for a reason is told so, with an example, before anything is asked of the gateway',
  async (reason, words) => {
    answers.set('POST /v1/users/ada/disable', {});
    const { code, stderr } = await run('user', 'disable', 'ada', '--reason', reason);
    expect(stderr).toContain(words);
    expect(stderr).toContain('next: add: --reason "left the company"');
    expect(code).toBe(1);
  },
);

test('what was done with a user is said with their name, in words', async () => {
  const revoked = { index: 7, kind: 'user', subject: '52e45a8455fa0916', reason: 'x', at: 1, waitedMs: 14 };
  const inForce = { ...revoked, inForce: true, waitingFor: [] };
  answers.set('POST /v1/users/ada/disable', inForce);
  answers.set('DELETE /v1/users/ada', inForce);
  answers.set('POST /v1/users/ada/enable', { done: true });
  const says = async (...args: string[]) => (await run('user', ...args, 'ada', '--reason', 'a test')).stdout;
  expect(await says('disable')).toBe('✔ user ada is disabled, in force on every Proxy after 14 ms (log entry 7)\n');
  expect(await says('remove')).toBe('✔ user ada is removed, in force on every Proxy after 14 ms (log entry 7)\n');
  expect(await says('enable')).toBe(
    '✔ ada is let in again; devices that were revoked enrol anew: sallyport code new ada\n',
  );
});

test('what ends all sessions from before a time is said with the time, not with a number', async () => {
  const subject = String(Date.parse('2026-05-01T08:00Z'));
  const mark = { index: 8, kind: 'before', subject, reason: 'x', at: 1, inForce: true, waitedMs: 14, waitingFor: [] };
  // The id in its path is made by the command.
  server.prependOnceListener('request', ({ method, url: path }) => answers.set(`${method} ${path}`, mark));
  const everything = { ...mark, kind: 'generation', subject: '1' };
  const { code, stdout } = await run('revoke', 'before', '2026-05-01T08:00Z', '--reason', 'a test');
  server.prependOnceListener('request', ({ method, url: path }) => answers.set(`${method} ${path}`, everything));
  const all = await run('revoke', 'everything', '--reason', 'a test');
  expect(all.stdout).toBe('✔ every session until now is revoked, in force on every Proxy after 14 ms (log entry 8)\n');
  expect(stdout).toMatch(/^✔ every session from before 2026-0(4-30|5-01) \d\d:\d\d:00 is revoked, in force/);
  expect(code).toBe(0);
});
