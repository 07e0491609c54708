import { createSocket } from 'node:dgram';
import { AppProcess } from '@sallyport/local-cluster';
import { freePort } from '@sallyport/support';
import type { Frame, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import {
  type HostileResource,
  type Outside,
  startHostileResource,
  startOutside,
  WAYS_OF_MOVING,
  WAYS_OUT,
} from '../src/hostile-resource.ts';
import { type Office, startOffice } from '../src/office.ts';
import { barriers, describePage, PhoneBrowser } from '../src/phone-browser.ts';

let office: Office;
let evil: HostileResource;
let outside: Outside;
let gateway: Gateway;
let phone: AppProcess;
let browser: PhoneBrowser;
let page: Page;
let shell: string;

beforeAll(async () => {
  const port = await freePort();
  shell = `http://phone.localhost:${port}`;
  office = await startOffice();
  outside = await startOutside();
  evil = await startHostileResource(outside.host);
  phone = await AppProcess.start('phone', { environment: { SALLYPORT_LISTEN: `127.0.0.1:${port}` } });
  gateway = await Gateway.start({ settings: { enrolPage: `${shell}/enroll` } });
  await gateway.addResource('office', 'office.corp', office.url);
  await gateway.addResource('evil', 'evil.corp', evil.url);
  await gateway.addUser('ada');
  browser = await PhoneBrowser.start();
  page = await browser.page();
  await page.goto(await gateway.link('ada'));
  await page.fill('#user', 'ada');
  await page.fill('#password', PASSWORD);
  await page.click('button[type=submit]');
  // Somebody is signed in at the office.
  await page.getByRole('link', { name: 'office' }).click();
  const frame = page.frameLocator('#page');
  await frame.getByLabel('User').fill('ada');
  await frame.getByRole('button', { name: 'Sign in' }).click();
  await frame.getByRole('heading', { name: 'Desk' }).waitFor();
});
afterAll(async () => {
  await browser.close();
  await phone.end();
  await gateway.stop();
  for (const server of [office, evil, outside]) server.close();
});

/** The frame in which pages are shown, once it shows this heading. */
async function shown(heading: string): Promise<Frame> {
  const wanted = page.frameLocator('#page').getByRole('heading', { name: heading, exact: true });
  await wanted.waitFor().catch(async (error: Error) => {
    throw new Error(`${error.message}\n${await describePage(page)}`);
  });
  return (await (await page.$('#page'))!.contentFrame())!;
}

/** From elsewhere: a page that is being left could still say where it is, and a reload would lead back to it. */
async function openEvil(path: string): Promise<Frame> {
  await page.goto('about:blank');
  await page.goto(`${shell}/#/http://evil.corp${path}`);
  return shown(`At ${path}`);
}

/** Runs one way out in a page; what it throws does not matter. */
function attempt(way: string): string {
  const helper =
    'const add = (html) => { const holder = document.createElement("template"); holder.innerHTML = html; const made = holder.content.firstElementChild; document.body.append(made); return made };';
  return `{ ${helper} try { ${way.replaceAll('OUTSIDE', outside.host)} } catch {} }`;
}

test('nothing that a page loads, sends or opens leaves past the gateway', async () => {
  const frame = await openEvil('/start');
  await frame.evaluate(Object.values(WAYS_OUT).map(attempt).join('\n'));
  await openEvil('/steered');
  // A round through the gateway, and time for what comes late.
  await (await openEvil('/after')).evaluate("fetch('/marker').then((response) => response.text())");
  await page.waitForTimeout(1_000);
  expect(outside.heard).toEqual([]);
});

test('no page moves the frame, the window or another one out of the intranet', async () => {
  for (const [name, way] of Object.entries(WAYS_OF_MOVING)) {
    const frame = await openEvil(`/${name}`);
    await frame.evaluate(attempt(way)).catch(() => undefined);
    await page.waitForTimeout(150);
    expect(new URL(page.url()).origin, name).toBe(shell);
  }
  await page.goto('about:blank');
  await page.goto(`${shell}/#/http://evil.corp/refreshed`);
  await page.waitForTimeout(500);
  expect(outside.heard).toEqual([]);
  expect(page.context().pages()).toHaveLength(1);
});

test('no page uses the hidden frame of its origin, or a window of its own, to get out', async () => {
  const frame = await openEvil('/start');
  await page.frameLocator('#page').locator('body').click();
  const reached = await frame.evaluate(
    `[...Array(top.length).keys()].filter((at) => { try { return top[at] !== self && top[at].document } catch {} }).length`,
  );
  expect(reached).toBe(1);
  for (const target of ['_top', '_blank', 'elsewhere'])
    await frame.evaluate(
      attempt(
        `for (let at = 0; at < top.length; at++) try { const there = top[at]; if (there === self) continue; there.open('http://OUTSIDE/opened', '${target}'); const link = there.document.createElement('a'); link.href = 'http://OUTSIDE/hidden'; link.target = '${target}'; there.document.documentElement.append(link); link.click() } catch {}`,
      ),
    );
  const alone = await page.context().newPage();
  await alone.goto(`${new URL(frame.url()).origin}/start`);
  await alone.waitForURL(`${shell}/**`);
  await alone.close();
  await page.waitForTimeout(500);
  expect(outside.heard).toEqual([]);
  expect([new URL(page.url()).origin, page.context().pages().length]).toEqual([shell, 1]);
});

test('a page that leads out asks its user first', async () => {
  await page.goto('about:blank');
  await page.goto(`${shell}/#/http://evil.corp/to-outside`);
  const dialog = page.getByRole('dialog');
  await dialog.getByText(`http://${outside.host}/redirect`).waitFor();
  expect(await barriers(page)).toEqual([]);
  // However often a page asks, there is one question, and whoever presses a key in a page does not say yes.
  const frame = (await (await page.$('#page'))!.contentFrame())!;
  const askAgain = async (): Promise<number> => {
    await frame.evaluate(
      ([origin, url]) => {
        for (let i = 0; i < 5; i++) top!.postMessage({ type: 'go', url }, origin!);
      },
      [shell, `http://${outside.host}/redirect`],
    );
    await say(frame, { type: 'web-socket', url: 'http://evil.corp/live', protocols: [] }, QUIET_MS);
    return page.locator('dialog').count();
  };
  expect(await askAgain()).toBe(1);
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Stay');
  await dialog.getByRole('button', { name: 'Stay' }).click();
  // Who stays is not asked again by the page alone, but after going somewhere is.
  expect(await askAgain()).toBe(0);
  expect(outside.heard).toEqual([]);
  await page.goto('about:blank');
  await page.goto(`${shell}/#/http://evil.corp/to-outside`);
  await dialog.getByRole('button', { name: 'Stay' }).click();
});

/** How long nothing is heard of what has no answer. */
const QUIET_MS = 500;

/** Says something to the shell as a page of the resource would, and gives the first answer over its port. */
function say(frame: Frame, word: object, quietMs = 90_000): Promise<unknown> {
  return frame.evaluate(
    ([message, origin, ms]) =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => (data.type === 'heard' ? port1.postMessage({ type: 'go' }) : resolve(data));
        top!.postMessage(message, origin as string, [port2]);
        setTimeout(() => resolve('nothing'), ms as number);
      }),
    [word, shell, quietMs] as const,
  );
}

test('the shell asks no other resource on behalf of a page', async () => {
  const frame = await openEvil('/start');
  const before = office.requests.length;
  const asked = { type: 'request', method: 'GET', headers: [], mode: 'cors', destination: '', referrer: '' };
  for (const url of [
    'http://office.corp/api',
    'https://office.corp/',
    'ftp://evil.corp/',
    'javascript:1',
    '//office.corp',
  ])
    expect(await say(frame, { ...asked, url }), url).toMatchObject({ type: 'failed', code: 'OTHER_ORIGIN' });
  for (const url of ['ws://office.corp/live', 'http://evil.corp/live', `ws://${outside.host}/`])
    expect(await say(frame, { type: 'web-socket', url, protocols: [] }), url).toMatchObject({
      type: 'close',
      code: 1006,
    });
  for (const word of [
    null,
    7,
    {},
    { type: 'request' },
    { ...asked, url: 7 },
    { ...asked, url: '/', headers: [[1, 2]] },
  ])
    expect(await say(frame, word as object, QUIET_MS)).toBe('nothing');
  await say(frame, { type: 'place', url: 'http://office.corp/bank', title: 'Bank', icon: '' }, QUIET_MS);
  expect(await page.textContent('#address')).toBe('evil.corp/start');
  expect(office.requests).toHaveLength(before);
});

test('cookies, storage and keys of others are out of reach', async () => {
  const frame = await openEvil('/cookies');
  const seen = (await frame.evaluate(async () => [
    document.cookie,
    JSON.stringify(localStorage),
    JSON.stringify((await indexedDB.databases()).map(({ name }) => name)),
    JSON.stringify(await caches.keys()),
  ])) as string[];
  expect(seen[0]).toMatch(/wide=evil/);
  expect(seen.slice(1)).toEqual(['{}', '[]', '[]']);
  for (const reach of ['top.document', 'top.localStorage', 'top.location.href'])
    await expect(frame.evaluate(reach), reach).rejects.toThrow();
  // Cookies that were aimed at another resource, or at all of them, reach none.
  await page.goto(`${shell}/#/http://office.corp/`);
  await page.reload();
  await shown('Desk');
  await expect.poll(() => office.requests.at(-1)?.headers.cookie).toMatch(/__Host-sid/);
  expect(office.requests.filter(({ headers }) => headers.cookie?.includes('evil'))).toEqual([]);
});

test('what a page writes into the name of its window, its own pages read, and no other resource', async () => {
  const nameOf = async (heading: string): Promise<string> => (await shown(heading)).evaluate(() => window.name);
  const frame = await openEvil('/start');
  await frame.evaluate(() => {
    window.name = 'a note';
    location.href = '/next';
  });
  expect(await nameOf('At /next')).toBe('a note');
  // In one window, as links lead: without cookies that are strict.
  await (await shown('At /next')).evaluate(
    ([origin]) => top!.postMessage({ type: 'go', url: 'http://office.corp/' }, origin!),
    [shell],
  );
  expect(await nameOf('Sign in')).toBe('');
});

test('what the browser keeps of keys and session is sealed, with keys that nobody can export', async () => {
  const kept = await page.evaluate(async () => {
    const found: { name: string; raw: boolean; exportable: boolean[] }[] = [];
    for (const { name } of await indexedDB.databases()) {
      const database = await new Promise<IDBDatabase>((resolve) => {
        const opening = indexedDB.open(name!);
        opening.onsuccess = () => resolve(opening.result);
      });
      const all = database.transaction('records').objectStore('records').getAll();
      await new Promise((resolve) => {
        all.onsuccess = resolve;
      });
      for (const row of all.result as (CryptoKey & { held?: CryptoKey })[]) {
        const keys = [row, row.held].filter((one) => one instanceof CryptoKey);
        const names = Object.keys(row).filter((one) => !['nonce', 'sealed', 'held'].includes(one));
        found.push({ name: name!, raw: names.length > 0, exportable: keys.map(({ extractable }) => extractable) });
      }
      database.close();
    }
    return { found, local: JSON.stringify(localStorage) };
  });
  expect(kept.found.length).toBeGreaterThanOrEqual(4);
  expect(kept.found.filter(({ raw, exportable }) => raw || exportable.includes(true))).toEqual([]);
  expect(kept.local).not.toMatch(/__Host-sid|s3cret/);
});

test('a link from another resource is followed as a browser would: without cookies that are strict, and nothing is posted', async () => {
  const frame = await openEvil('/start');
  const { length } = office.requests;
  await frame.evaluate("location.href = 'http://office.corp/list?page=7'");
  await expect.poll(() => office.requests.slice(length).map(({ url }) => url)).toContain('/list?page=7');
  const { headers } = office.requests.slice(length).find(({ url }) => url === '/list?page=7')!;
  expect([headers.cookie, headers['sec-fetch-site']]).toEqual([
    expect.not.stringContaining('__Host-sid'),
    'cross-site',
  ]);
  // Even a page that has learnt the other one's origin cannot post there, frame it, or move there by itself.
  const origin = await page.evaluate(() => {
    const keepers = [...document.querySelectorAll<HTMLIFrameElement>('#frames iframe[hidden]')];
    return new URL(keepers.at(-1)!.src).origin;
  });
  const again = await openEvil('/posts');
  const posts = office.requests.filter(({ method }) => method === 'POST').length;
  const form = `<form method="post" action="${origin}/upload"><input name="a"></form>`;
  await again.evaluate(
    attempt(
      `add('<iframe src="${origin}/"></iframe>'); add('<img src="${origin}/icon.svg">'); add('${form}').submit()`,
    ),
  );
  await again.evaluate(`fetch('${origin}/api/hello', { method: 'POST', body: '{}', mode: 'no-cors' }).catch(() => 0)`);
  await page.waitForTimeout(500);
  expect(office.requests.filter(({ method }) => method === 'POST')).toHaveLength(posts);
});

/** The office is asked for this as by somebody of another site, who has no right to act for its user. */
async function expectLinked(path: string): Promise<void> {
  const asked = (): (typeof office.requests)[number] | undefined => office.requests.find(({ url }) => url === path);
  await expect.poll(() => asked()?.url).toBe(path);
  expect(asked()!.headers.cookie ?? '', path).not.toContain('__Host-sid');
  expect(asked()!.headers['sec-fetch-site'], path).toBe('cross-site');
}

test('an address of the phone page that somebody on the internet wrote is a link; a reload is not', async () => {
  const fresh = await page.context().newPage();
  await fresh.goto(`${shell}/#/http://office.corp/list?page=10`);
  await expectLinked('/list?page=10');
  await fresh.reload();
  const last = (): string | undefined =>
    office.requests.filter(({ url }) => url === '/list?page=10').at(-1)?.headers.cookie;
  await expect.poll(last).toContain('__Host-sid');
  await fresh.close();
});

test('a page brings no service worker of its own, and without ours it gets a page of ours', async () => {
  const frame = await openEvil('/start');
  const tried = await frame.evaluate(() =>
    Promise.all(
      ['/evil.js', '/.sallyport/evil.js'].map((path) =>
        navigator.serviceWorker.register(path, { scope: '/' }).then(
          () => 'registered',
          () => 'refused',
        ),
      ),
    ),
  );
  expect(tried).toEqual(['refused', 'refused']);
  await frame.evaluate(async () => {
    for (const registration of await navigator.serviceWorker.getRegistrations()) await registration.unregister();
  });
  await openEvil('/after');
  await shown('At /after');
});

test('WebRTC reaches nobody', async () => {
  const heard: string[] = [];
  const stun = createSocket('udp4', () => void heard.push('stun'));
  await new Promise<void>((resolve) => stun.bind(0, '127.0.0.1', resolve));
  const servers = `[{ urls: 'stun:127.0.0.1:${stun.address().port}' }]`;
  const frame = await openEvil('/rtc');
  expect(await frame.evaluate('typeof RTCPeerConnection')).toBe('undefined');
  // One from an empty frame ends the page's process instead.
  const connect = `const c = new (add('<iframe></iframe>').contentWindow.RTCPeerConnection)({ iceServers: ${servers} }); c.createDataChannel('x'); c.setLocalDescription()`;
  await frame.evaluate(attempt(connect)).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  stun.close();
  expect(heard).toEqual([]);
});
