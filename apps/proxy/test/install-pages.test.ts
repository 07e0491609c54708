import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { createLog } from '@sallyport/telemetry';
import { afterEach, expect, test } from 'vitest';
import { InstallPages } from '../src/install-pages.ts';

type Parts = ConstructorParameters<typeof InstallPages>[0];
type Ask = Parameters<Parts['security']['installPage']>[0];
type Answer = Awaited<ReturnType<Parts['security']['installPage']>>;

const TOKEN = `spi_${'A'.repeat(75)}`;
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A listener with these pages, and what it asked of Security, which answers with these bodies. */
async function served(bodyOf: (ask: Ask) => Readable = () => Readable.from(['<h1>Field</h1>'])) {
  const asked: Ask[] = [];
  const met: string[] = [];
  const installPage = async (ask: Ask): Promise<Answer> => {
    asked.push(ask);
    const headers = { 'content-type': 'text/html', 'set-cookie': 'a=1', server: 'x' };
    return { statusCode: 200, headers, body: bodyOf(ask) } as unknown as Answer;
  };
  const limited = { met: (why: string) => void met.push(why) } as unknown as Parts['limited'];
  const log = createLog('test', 'silent');
  const pages = new InstallPages({ security: { installPage }, limited, log });
  const server = createServer((request, response) => void pages.answer(request, response, '192.0.2.1'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, met };
}

test('a link is fetched from Security, with headers of ours and none of its own', async () => {
  const { url, asked } = await served();
  const answer = await fetch(`${url}/install/${TOKEN}`);
  expect(await answer.text()).toBe('<h1>Field</h1>');
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(answer.headers.get('set-cookie')).toBeNull();
  await fetch(`${url}/install/${TOKEN}`, { method: 'POST' });
  const claim = `/install/spc_${'A'.repeat(75)}/app.apk`;
  await fetch(url + claim, { headers: { range: 'bytes=5-' } });
  expect(asked.map(({ method, path, range }) => [method, path, range])).toEqual([
    ['GET', `/install/${TOKEN}`, undefined],
    ['POST', `/install/${TOKEN}`, undefined],
    ['GET', claim, 'bytes=5-'],
  ]);
});

test.each([
  ['GET', '/install/', 404],
  ['GET', '/install/made-up', 404],
  ['GET', `/install/${TOKEN}?a=1`, 404],
  ['GET', `/install/${TOKEN}/app.apk`, 404],
  ['GET', `/install/spc_${'A'.repeat(75)}/..%2fapp.apk`, 404],
  ['PUT', `/install/${TOKEN}`, 405],
  ['POST', `/install/spc_${'A'.repeat(75)}/app.apk`, 405],
])('%s %s never reaches Security', async (method, path, status) => {
  const { url, asked } = await served();
  expect((await fetch(url + path, { method })).status).toBe(status);
  expect(asked).toEqual([]);
});

test('one address has so many at once, and so many in a minute', async () => {
  const open: Readable[] = [];
  const { url, asked, met } = await served(() => {
    const body = new Readable({ read: () => undefined });
    open.push(body);
    body.push('begun');
    return body;
  });
  const begun = await Promise.all([1, 2, 3, 4].map(() => fetch(`${url}/install/${TOKEN}`)));
  const refused = await fetch(`${url}/install/${TOKEN}`);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '60']);
  for (const body of open) body.push(null);
  await Promise.all(begun.map((answer) => answer.text()));
  const quick = await served();
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) statuses.push((await fetch(`${quick.url}/install/${TOKEN}`)).status);
  expect(statuses.slice(0, 30).every((status) => status === 200)).toBe(true);
  expect(statuses).toContain(503);
  expect([asked.length, met[0]]).toEqual([4, 'pages for first installations']);
});

test('who goes away in the middle gives the place back, and what is fetched for them ends', async () => {
  const { url, asked } = await served(() => {
    const body = new Readable({ read: () => undefined });
    body.push('begun');
    return body;
  });
  for (let round = 0; round < 6; round++) {
    const stop = new AbortController();
    const answer = await fetch(`${url}/install/${TOKEN}`, { signal: stop.signal });
    expect(answer.status).toBe(200);
    stop.abort();
    await expect.poll(() => asked[round]!.signal.aborted).toBe(true);
  }
});
