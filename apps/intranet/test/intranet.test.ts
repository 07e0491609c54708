import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createIntranet } from '../src/app.ts';

const folder = mkdtempSync('/tmp/sallyport-intranet-');
const service = await createIntranet({ shareFolder: join(folder, 'share'), identify: async () => undefined });
const url = await service.listen({ host: '127.0.0.1', port: 0 });
afterAll(async () => {
  service.server.closeAllConnections();
  await service.close();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${url}${path}`, { redirect: 'manual', ...init });
const post = (path: string, form: Record<string, string>, cookie = ''): Promise<Response> =>
  ask(path, { method: 'POST', body: new URLSearchParams(form), headers: { cookie } });

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9_000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

async function signIn(name: string): Promise<string> {
  const response = await post('/sign-in', { name, word: 'ahoy' });
  expect([response.status, response.headers.get('location')]).toEqual([303, '/desk']);
  const [cookie = ''] = response.headers.getSetCookie();
  expect(cookie).toMatch(/^desk=[\w-]{20,}; Path=\/; HttpOnly; SameSite=Lax/);
  return cookie.split(';', 1)[0]!;
}

test('the desk is signed in to by a form, knows its user by a cookie, and is left by a form', async () => {
  expect((await ask('/desk')).headers.get('location')).toBe('/sign-in');
  expect((await post('/sign-in', { name: 'ada', word: 'wrong' })).status).toBe(403);
  expect((await post('/desk', { boat: 'Tern' })).headers.get('location')).toBe('/sign-in');
  const cookie = await signIn('Ada <&>');
  expect((await post('/desk', { boat: '<Tern>', metres: '9' }, cookie)).status).toBe(303);
  const desk = await (await ask('/desk', { headers: { cookie } })).text();
  expect(desk).toContain('Ada &#60;&#38;&#62;');
  expect(desk).toContain('<td>&#60;Tern&#62;</td>');
  const out = await post('/sign-out', {}, cookie);
  expect(out.headers.getSetCookie()[0]).toContain('Max-Age=0');
  expect((await ask('/desk', { headers: { cookie } })).status).toBe(303);
  expect((await post('/sign-in', { name: 'x'.repeat(20_000), word: 'ahoy' })).status).toBe(413);
});

/** What a WebSocket hears, or the status that refuses it. */
function open(path: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, { headers });
  const heard: (string | number)[] = [];
  socket.on('open', () => heard.push('open'));
  socket.on('message', (data) => heard.push(String(data)));
  socket.on('unexpected-response', (_request, response) => heard.push(response.statusCode!));
  socket.on('error', () => undefined);
  return { socket, heard };
}

test('the desk tells what happens to who is signed in, and nobody else; not to pages of others either', async () => {
  const cookie = await signIn('ben');
  const live = open('/desk/live', { cookie, origin: url });
  await until(() => live.heard.length === 1);
  await post('/desk', { boat: 'Petrel', metres: '12', from: '2026-05-01' }, cookie);
  await until(() => live.heard.length === 2);
  expect(JSON.parse(String(live.heard[1]))).toEqual({ boat: 'Petrel', metres: '12', from: '2026-05-01', by: 'ben' });
  live.socket.close();
  const others = [open('/desk/live'), open('/desk/live', { cookie, origin: 'http://evil.example' }), open('/nothing')];
  await until(() => others.every(({ heard }) => heard.length > 0));
  expect(others.map(({ heard }) => heard)).toEqual([[401], [403], [404]]);
});

test('the chat is for everybody, and knows the names of those who are signed in', async () => {
  const [guest, named] = [open('/chat'), open('/chat', { cookie: await signIn('cleo') })];
  await until(() => guest.heard.length === 1 && named.heard.length === 1);
  guest.socket.send('hello');
  named.socket.send('ahoy');
  await until(() => guest.heard.length === 3);
  expect(new Set(guest.heard)).toEqual(new Set(['open', 'hello', 'cleo: ahoy']));
  for (const { socket } of [guest, named]) socket.terminate();
});

test.each(['', 'application/json', 'text/plain', 'application/x-www-form-urlencoded', 'made/up'])(
  'a file goes up whatever its content type is: %s',
  async (type) => {
    const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
    const body = Buffer.from('{"not": json');
    expect((await ask('/files/some.txt', { method: 'PUT', body, headers })).status).toBe(200);
    expect(await (await ask('/files/some.txt')).text()).toBe('{"not": json');
  },
);

test('the page of the large table has all of its rows', async () => {
  const text = await (await ask('/berths')).text();
  expect(text.split('<tr>').length).toBe(1 + 1 + 3_000);
  expect(text).toMatch(/<\/html>\s*$/);
});

// WebDAV (RFC 4918).

const dav = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
  const response = await ask(`/dav${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
  return { status: response.status, text: await response.text(), headers: response.headers };
};
const statusOf = async (...of: Parameters<typeof dav>): Promise<number> => (await dav(...of)).status;

test('files and folders are made, listed, read, copied, moved and removed', async () => {
  expect((await dav('OPTIONS', '/')).headers.get('dav')).toBe('1, 2');
  expect(await statusOf('MKCOL', '/plans')).toBe(201);
  expect(await statusOf('MKCOL', '/plans')).toBe(405);
  expect(await statusOf('MKCOL', '/no/where')).toBe(409);
  expect(await statusOf('PUT', '/plans/100%25%20%C3%A4.txt', {}, 'one')).toBe(201);
  expect(await statusOf('PUT', '/plans/100%25%20%C3%A4.txt', {}, 'two')).toBe(204);
  expect(await statusOf('PUT', '/no/where.txt', {}, 'x')).toBe(409);
  const { status, text } = await dav('PROPFIND', '/plans', { depth: '1' });
  expect(status).toBe(207);
  expect([...text.matchAll(/<D:href>([^<]*)<\/D:href>/g)].map(([, href]) => href)).toEqual([
    '/dav/plans/',
    '/dav/plans/100%25%20%C3%A4.txt',
  ]);
  expect(text).toContain('<D:getcontentlength>3</D:getcontentlength>');
  expect(await statusOf('COPY', '/plans', { destination: `${url}/dav/copy` })).toBe(201);
  expect(await statusOf('COPY', '/plans', { destination: '/dav/copy', overwrite: 'F' })).toBe(412);
  expect(await statusOf('MOVE', '/copy', { destination: 'http://intranet.example/dav/moved' })).toBe(201);
  expect((await dav('GET', '/moved/100%25%20%C3%A4.txt')).text).toBe('two');
  expect(await statusOf('MOVE', '/moved', { destination: '/dav/moved/inside' })).toBe(403);
  expect(await statusOf('MOVE', '/moved', { destination: '/elsewhere' })).toBe(502);
  expect(await statusOf('DELETE', '/moved')).toBe(204);
  expect(await statusOf('GET', '/moved')).toBe(404);
  expect(await statusOf('DELETE', '/')).toBe(403);
});

test('no path leads out of the folder', async () => {
  writeFileSync(join(folder, 'secret.txt'), 'treasure');
  for (const path of [
    '/..%2f..%2fsecret.txt',
    '/%2e%2e/%2e%2e/secret.txt',
    '/a%00b',
    '/..%5c..%5csecret.txt',
    '/%ff',
  ]) {
    const response = await service.inject({ method: 'GET', url: `/dav${path}` });
    expect([400, 404], path).toContain(response.statusCode);
    expect(response.body).not.toContain('treasure');
  }
  const to = await service.inject({
    method: 'MOVE' as never,
    url: '/dav/plans',
    headers: { destination: '/dav/%2e%2e%2f%2e%2e%2fout' },
  });
  expect(to.statusCode).toBe(400);
});

test('properties that are asked for by name are told, others are said not to be there', async () => {
  await dav('PUT', '/one.txt', {}, 'one');
  const body =
    '<?xml version="1.0"?><a:propfind xmlns:a="DAV:" xmlns:x="urn:x"><a:prop><a:getetag/><x:colour/><a:quota-used-bytes/></a:prop></a:propfind>';
  const { text } = await dav('PROPFIND', '/one.txt', { depth: '0' }, body);
  expect(text).toMatch(/<D:getetag>&#34;[^<]*&#34;<\/D:getetag><\/D:prop><D:status>HTTP\/1.1 200 OK/);
  expect(text).toMatch(/<X:colour xmlns:X="urn:x"\/><D:quota-used-bytes\/><\/D:prop><D:status>HTTP\/1.1 404/);
  expect(await statusOf('PROPFIND', '/one.txt', { depth: '0' }, '<!DOCTYPE x [<!ENTITY a "b">]><x/>')).toBe(400);
  expect(await statusOf('PROPFIND', '/', {})).toBe(403);
});

test('what is locked is changed by who has the token, and by nobody else', async () => {
  await dav('PUT', '/locked.txt', {}, 'one');
  const info =
    '<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype><D:owner>ada</D:owner></D:lockinfo>';
  const locked = await dav('LOCK', '/locked.txt', { timeout: 'Second-60' }, info);
  const token = locked.headers.get('lock-token')!;
  expect([locked.status, token]).toEqual([200, expect.stringMatching(/^<urn:uuid:.*>$/)]);
  expect(locked.text).toContain('<D:owner>ada</D:owner>');
  expect(await statusOf('LOCK', '/locked.txt', {}, info)).toBe(423);
  for (const method of ['PUT', 'DELETE', 'PROPPATCH']) expect(await statusOf(method, '/locked.txt', {}, 'x')).toBe(423);
  expect(await statusOf('MOVE', '/locked.txt', { destination: '/dav/other.txt' })).toBe(423);
  expect(await statusOf('PUT', '/locked.txt', { if: `(${token})` }, 'two')).toBe(204);
  expect(await statusOf('LOCK', '/locked.txt', { if: `(${token})` })).toBe(200);
  expect(await statusOf('UNLOCK', '/locked.txt', { 'lock-token': '<urn:uuid:other>' })).toBe(409);
  expect(await statusOf('UNLOCK', '/locked.txt', { 'lock-token': token })).toBe(204);
  expect(await statusOf('PUT', '/locked.txt', {}, 'three')).toBe(204);
  const made = await dav('LOCK', '/new.txt', {}, info);
  expect([made.status, await statusOf('GET', '/new.txt')]).toEqual([201, 200]);
});

function run(command: string, args: string[], input = ''): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { cwd: folder }, (_error, stdout, stderr) => resolve(stdout + stderr));
    child.stdin!.end(input);
  });
}
const has = (command: string): boolean => {
  try {
    execFileSync('which', [command]);
    return true;
  } catch {
    console.warn(`note: no ${command} on this machine, so it is left out`);
    return false;
  }
};

test.skipIf(!has('cadaver'))('cadaver makes a folder, uploads, locks, moves and downloads', async () => {
  writeFileSync(join(folder, 'up.txt'), 'from cadaver');
  const steps = [
    'mkcol boats',
    'cd boats',
    'put up.txt',
    'lock up.txt',
    'unlock up.txt',
    'move up.txt moved.txt',
    'get moved.txt',
    'ls',
  ];
  const said = await run('cadaver', [`${url}/dav/`], `${steps.join('\n')}\nquit\n`);
  expect(said).not.toMatch(/failed/i);
  expect(said).toContain('moved.txt');
  expect(readFileSync(join(folder, 'moved.txt'), 'utf8')).toBe('from cadaver');
});

test.skipIf(!has('rclone'))('rclone copies a tree there and finds it the same', async () => {
  execFileSync('mkdir', ['-p', join(folder, 'tree/deep/er')]);
  for (const name of ['a.txt', 'deep/100% ä.txt', 'deep/er/c.txt']) writeFileSync(join(folder, 'tree', name), name);
  const to = ['--config', '/dev/null', '--webdav-url', `${url}/dav/`];
  expect(await run('rclone', ['copy', 'tree', ':webdav:tree', ...to])).not.toMatch(/ERROR/);
  expect(await run('rclone', ['check', 'tree', ':webdav:tree', '--download', ...to])).toMatch(/0 differences found/);
  expect(await run('rclone', ['moveto', ':webdav:tree/deep', ':webdav:tree/moved', ...to])).not.toMatch(/ERROR/);
  expect((await run('rclone', ['lsf', '-R', ':webdav:tree', ...to])).split('\n')).toContain('moved/er/c.txt');
});
