import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const CLI = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const folder = mkdtempSync('/tmp/sallyport-cli-');

/** Answers by method and path; whatever is not named fails. */
const answers = new Map<string, unknown>();
const server = createServer((request, response) => {
  const answer = answers.get(`${request.method} ${request.url?.split('?')[0]}`);
  request.resume().on('end', () => {
    response.statusCode = answer === undefined ? 500 : 200;
    response.end(JSON.stringify(answer ?? { code: 'ERR_HTTP_INTERNAL', title: 'something went wrong on our side' }));
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
mkdirSync(join(folder, 'cli'));
writeFileSync(join(folder, 'cli', 'operator.json'), JSON.stringify({ url, ca: '', name: 'olga', token: 'spo' }));
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
