import type { CallResponse, Device } from '@sallyport/device';
import { expect, test } from 'vitest';
import type { PageRequest, ShellAnswer, WorkerWord } from '../web/messages.ts';
import { CookieJars } from '../web/shell/cookie-jars.ts';
import { Passwords } from '../web/shell/passwords.ts';
import { ResourceGate, type ShownResource } from '../web/shell/resource-gate.ts';

const SHOWN: ShownResource = { authority: 'wiki.corp', origin: 'https://rwiki.phone.example.com', scheme: 'http' };
const NAVIGATION: PageRequest = {
  type: 'request',
  method: 'GET',
  url: `${SHOWN.origin}/page`,
  headers: [],
  mode: 'navigate',
  destination: 'iframe',
  referrer: '',
};

type Fields = readonly (readonly [string, string])[];

/** A gate before a resource that answers with these fields; what the resource was asked, and what the shell took the frame to. */
async function openGate(status = 200, fields: Fields = []) {
  const nothing = { load: async () => undefined, store: async () => undefined, remove: async () => undefined };
  const jars = new CookieJars(nothing);
  for (const cookie of ['strict=1; SameSite=Strict; Path=/', 'lax=1; SameSite=Lax; Path=/'])
    await jars.take(SHOWN.authority, cookie, { path: '/', http: true });
  const asked: Record<string, string>[] = [];
  const expected = new Map<string, { link: boolean }>();
  const request = async ({ fields: sent }: { fields: Fields }): Promise<CallResponse> => {
    asked.push(Object.fromEntries(sent));
    return { status, fields, body: new ReadableStream({ start: (body) => body.close() }) } as CallResponse;
  };
  const gate = new ResourceGate({
    device: { request } as unknown as Device,
    jars,
    passwords: new Passwords(nothing),
    askPassword: async () => undefined,
    came: () => undefined,
    leave: () => undefined,
    expected: (url) => {
      const found = expected.get(url);
      expected.delete(url);
      return found;
    },
    expect: (url, how) => void expected.set(url, how),
  });
  const ask = (changed: Partial<PageRequest>): Promise<ShellAnswer> =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }: MessageEvent<ShellAnswer>) => {
        if (data.type === 'heard') return port1.postMessage({ type: 'go' } satisfies WorkerWord);
        port1.close();
        resolve(data);
      };
      void gate.answer(SHOWN, { ...NAVIGATION, ...changed }, port2);
    });
  return { ask, asked, expected };
}

const STRICT = ['strict=1; lax=1', 'none'];

test.each<[string, Partial<PageRequest>, { link: boolean } | undefined, readonly (string | undefined)[]]>([
  ['the shell', {}, { link: false }, STRICT],
  ['a link by way of the shell', {}, { link: true }, ['lax=1', 'cross-site']],
  ['a page of its own', { referrer: `${SHOWN.origin}/before` }, undefined, ['strict=1; lax=1', 'same-origin']],
  ['history or a reload', { again: true }, undefined, STRICT],
  ['nobody knows whom', {}, undefined, ['lax=1', 'cross-site']],
  ['a page of another one', { referrer: 'https://revil.phone.example.com/' }, undefined, ['lax=1', 'cross-site']],
])('a page that is opened by %s carries what that one may cause', async (_name, request, how, [cookie, site]) => {
  const { ask, asked, expected } = await openGate();
  if (how) expected.set(NAVIGATION.url, how);
  expect(await ask(request)).toMatchObject({ type: 'head', status: 200 });
  expect([asked[0]?.['cookie'], asked[0]?.['sec-fetch-site']]).toEqual([cookie, site]);
});

test('a redirect goes on for whoever wanted the page', async () => {
  const { ask, asked, expected } = await openGate(302, [['location', 'http://wiki.corp/next']]);
  expected.set(NAVIGATION.url, { link: false });
  for (const path of ['/page', '/next']) await ask({ url: SHOWN.origin + path });
  expected.clear();
  expected.set(NAVIGATION.url, { link: true });
  for (const path of ['/page', '/next']) await ask({ url: SHOWN.origin + path });
  const sites = asked.map((fields) => fields['sec-fetch-site']);
  expect(sites).toEqual(['none', 'none', 'cross-site', 'cross-site']);
});

test('a redirect beyond ASCII leads to the bytes that the resource wrote', async () => {
  const { ask } = await openGate(302, [['location', '/\xc3\x9cbersicht?von=K\xf6ln']]);
  const answer = await ask({});
  expect(answer).toMatchObject({ headers: [['location', '/%C3%9Cbersicht?von=K%F6ln']] });
});

test('a coding of nothing is nothing to open', async () => {
  const fields: Fields = [
    ['content-encoding', 'gzip'],
    ['content-length', '0'],
  ];
  expect(await (await openGate(200, fields)).ask({})).toMatchObject({ type: 'head', headers: fields });
});

test('only a page of its own sends something', async () => {
  const { ask, asked } = await openGate();
  expect(await ask({ method: 'POST', again: true })).toMatchObject({ type: 'failed', code: 'OTHER_ORIGIN' });
  expect(asked).toEqual([]);
});
