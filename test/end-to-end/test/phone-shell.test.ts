import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { freePort } from '@sallyport/support';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PhoneBrowser } from '../src/phone-browser.ts';

const MAIN = fileURLToPath(new URL('../../../apps/phone/src/main.ts', import.meta.url));
const port = await freePort();
let browser: PhoneBrowser;
let page: Page;
let server: ChildProcess | undefined;
beforeAll(async () => {
  browser = await PhoneBrowser.start();
  page = await browser.page();
});
afterAll(async () => {
  await stop();
  await browser.close();
});

/** Serves the phone page; with other origins of resources its shell is another one. */
async function serve(resources: string): Promise<void> {
  const env = { ...process.env, SALLYPORT_LISTEN: `127.0.0.1:${port}`, SALLYPORT_RESOURCE_ORIGINS: resources };
  server = fork(MAIN, { env, silent: true });
  await once(server, 'message');
}

async function stop(): Promise<void> {
  if (!server) return;
  const ended = once(server, 'exit');
  server.kill();
  await ended;
  server = undefined;
}

/** What the shell that runs says of the origins of resources, once its scripts have run. */
async function runs(): Promise<string | null> {
  await page.getByRole('heading').first().waitFor();
  return page.getAttribute('meta[name=sallyport-resources]', 'content');
}

/** Waits until the browser keeps one whole shell: the one with these origins. */
async function keeps(resources: string): Promise<void> {
  const kept = () =>
    page.evaluate(async () => {
      const names = await caches.keys();
      const registered = await navigator.serviceWorker.getRegistration();
      const isSettled = registered?.active?.state === 'activated' && !registered.installing && !registered.waiting;
      return isSettled && names.length === 1 ? (await caches.match('/'))?.text() : undefined;
    });
  await expect.poll(kept).toContain(`"${resources}"`);
}

const url = `http://phone.localhost:${port}/`;
const FIRST = `http://*.phone.localhost:${port}`;
const SECOND = `http://*.apps.phone.localhost:${port}`;

test('after one visit the shell starts without a network, at any address of the page', async () => {
  await serve(FIRST);
  await page.goto(url);
  await keeps(FIRST);
  await stop();
  for (const path of ['', 'enroll', 'signed-in']) {
    await page.goto(url + path);
    expect(await runs(), path).toBe(FIRST);
  }
});

test('another shell takes the place of the one that was kept, whole', async () => {
  await serve(SECOND);
  await page.goto(url);
  expect(await runs()).toBe(SECOND);
  await keeps(SECOND);
  // A file of the page that is opened by itself is not taken for the page.
  await page.goto(`${url}icon.svg`);
  await stop();
  await page.goto(url);
  expect(await runs()).toBe(SECOND);
});

test('the shell starts while only something in front of its server answers', async () => {
  const front: Server = createServer((_request, response) => response.writeHead(502).end('bad gateway'));
  front.listen(port, '127.0.0.1');
  await once(front, 'listening');
  await page.goto(url);
  expect(await runs()).toBe(SECOND);
  front.closeAllConnections();
  await new Promise((resolve) => front.close(resolve));
});
