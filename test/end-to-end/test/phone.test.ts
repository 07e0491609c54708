import { rmSync } from 'node:fs';
import { freeBasePort, type StartedAll, sallyport, scratchFolder, startAll } from '@sallyport/support';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { barriers, PhoneBrowser, picture } from '../src/phone-browser.ts';

const folder = scratchFolder();
const basePort = await freeBasePort();
let started: StartedAll;
let browser: PhoneBrowser;
beforeAll(async () => {
  started = await startAll(folder, basePort);
  browser = await PhoneBrowser.start();
});
afterAll(async () => {
  await browser.close();
  await started.stop();
  rmSync(folder, { recursive: true, force: true });
});

let page: Page;

test('the phone page enrols, signs in and shows an intranet page with its pictures', async () => {
  page = await browser.page();
  await page.goto(started.link);
  expect(await page.textContent('#whose')).toContain(`This link is for ${started.user}.`);
  await page.fill('#user', started.user);
  await page.fill('#password', 'wrong');
  await picture(page, 'phone-enrol');
  await page.click('button[type=submit]');
  await page.getByText('user name or password is wrong').waitFor();
  await page.fill('#password', started.password);
  expect(await barriers(page)).toEqual([]);
  await page.click('button[type=submit]');
  await page.getByRole('link', { name: 'Sample intranet' }).waitFor();
  expect(await page.textContent('#who')).toContain(`${started.user}`);
  expect(await page.textContent('#state')).toBe('connected');
  expect(page.url()).not.toContain('#');
  await picture(page, 'phone-home');
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('link', { name: 'Sample intranet' }).click();
  const frame = page.frameLocator('#page');
  await frame.getByRole('heading', { name: 'Good morning' }).waitFor();
  const width = () => frame.locator('img.wide').evaluate((image: HTMLImageElement) => image.naturalWidth);
  await expect.poll(width).toBeGreaterThan(0);
  await picture(page, 'phone-page');
  expect(await barriers(page)).toEqual([]);
  await frame.getByRole('link', { name: 'Who am I', exact: true }).click();
  await frame.getByText('You are ada').waitFor();
});

test('the files page of the intranet takes a file and lists it', async () => {
  const frame = page.frameLocator('#page');
  await frame.getByRole('link', { name: 'Files', exact: true }).click();
  const file = { name: 'berths.txt', mimeType: 'text/plain', buffer: Buffer.alloc(300_000, 'a') };
  // Its script may come after it: until then a file would go nowhere.
  await expect.poll(() => frame.getByLabel('Upload a file').isEnabled()).toBe(true);
  await frame.getByLabel('Upload a file').setInputFiles(file);
  await frame.getByText('300,000').waitFor();
});

test('its chat page chats over a WebSocket', async () => {
  const frame = page.frameLocator('#page');
  await frame.getByRole('link', { name: 'Chat', exact: true }).click();
  await frame.locator('#chat-state', { hasText: /^$/ }).waitFor({ state: 'attached' });
  await frame.getByLabel('Message').fill('hello harbour');
  await page.keyboard.press('Enter');
  await frame.locator('#messages').getByText('hello harbour').waitFor();
});

test('it survives a restart of everything without a new login, and says since when it is offline', async () => {
  expect(await started.stop()).toContain('stopped; everything is kept');
  await page.getByText('connecting…').waitFor();
  // Nothing serves the page any more, either: it starts from what the browser keeps.
  await page.clock.install();
  await page.reload();
  // After a minute of its own; nobody here waits for it.
  const stateLater = async (): Promise<string | null> => {
    await page.clock.fastForward(5_000);
    return page.textContent('#state');
  };
  await expect.poll(stateLater).toMatch(/^offline since .*\d+:\d\d/);
  await page.getByText('You stay signed in, and it goes on by itself.').waitFor();
  expect(await page.getByText('Your session is over').count()).toBe(0);
  started = await startAll(folder, basePort);
  await page.getByText('connected', { exact: true }).waitFor();
  await page.locator('#banner').waitFor({ state: 'hidden' });
  // The address of the window says which page it was.
  await page.reload();
  await page.frameLocator('#page').getByLabel('Message').waitFor();
  await page.getByRole('button', { name: 'Sallyport: your resources' }).click();
  await page.getByRole('link', { name: 'Sample intranet' }).waitFor();
});

test('a resource and a policy are changed without losing what is not named, and never replaced by mistake', async () => {
  const run = (...args: readonly string[]) => sallyport(['--data', folder, ...args]);
  const url = ['--authority', 'wiki.example', '--backend', 'http://127.0.0.1:9'];
  const added = await run('resource', 'add', 'wiki', ...url, '--title', 'Wiki');
  expect(added.stderr).toContain('--network 127.0.0.0/8');
  const again = await run('resource', 'add', 'wiki', ...url);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain('sallyport resource set wiki');
  expect((await run('resource', 'set', 'wiki', '--network', '127.0.0.0/8')).stderr).toBe('');
  const { stdout } = await run('resource', 'show', 'wiki');
  for (const line of [/title +Wiki/, /url +http:\/\/127.0.0.1:9/, /networks +127.0.0.0\/8/])
    expect(stdout).toMatch(line);
  const wrong = await run('resource', 'set', 'wiki', '--authority', 'WIKI');
  expect(wrong.stderr).toContain('authority: expected a host in lower case');
  expect(wrong.stderr).not.toMatch(/ERR_|pattern/);
  const linted = await run('lint');
  expect(linted.code).toBe(2);
  for (const line of [/^realm: error: it is no realm of production/m, /^resource wiki: error: no policy opens it/m])
    expect(linted.stdout).toMatch(line);
  await run('resource', 'remove', 'wiki');
});

test('revoked by the operator it is out at once, and says why', async () => {
  const sessions = JSON.parse((await sallyport(['--data', folder, '--json', 'session', 'list'])).stdout) as {
    id: string;
  }[];
  const without = await sallyport(['--data', folder, 'session', 'revoke', sessions[0]!.id]);
  expect(without.stderr).toContain('a revocation needs a reason');
  const { stdout } = await sallyport([
    '--data',
    folder,
    '--reason',
    'phone lost',
    'session',
    'revoke',
    sessions[0]!.id,
  ]);
  expect(stdout).toMatch(/is revoked, in force on every Proxy after \d+ ms/);
  await page.getByText(/^Your session is over: .+ \(REVOKED\)\.$/).waitFor();
  expect(await page.textContent('#state')).toBe('signed out');
  await page.reload();
  await page.getByText(/^Your session is over: .+ \(REVOKED\)\.$/).waitFor();
  await picture(page, 'phone-revoked');
  expect(await barriers(page)).toEqual([]);
  const audit = (await sallyport(['--data', folder, 'audit', 'tail', '-n', '3'])).stdout;
  expect(audit).toContain('phone lost');
});

test('the pages raised no error of their own', () => {
  // The restart cuts connections.
  const unexpected = browser.problems.filter((text) => !/WebSocket connection to|ERR_CONNECTION_REFUSED/.test(text));
  expect(unexpected).toEqual([]);
});
