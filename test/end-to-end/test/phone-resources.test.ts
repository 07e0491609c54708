import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { freePort } from '@sallyport/support';
import type { FrameLocator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import { type Office, startOffice } from '../src/office.ts';
import { barriers, PhoneBrowser, picture } from '../src/phone-browser.ts';

let office: Office;
let gateway: Gateway;
let phone: AppProcess;
let browser: PhoneBrowser;
let page: Page;
let frame: FrameLocator;

beforeAll(async () => {
  const port = await freePort();
  office = await startOffice();
  phone = await AppProcess.start('phone', { environment: { SALLYPORT_LISTEN: `127.0.0.1:${port}` } });
  gateway = await Gateway.start({ settings: { enrolPage: `http://phone.localhost:${port}/enroll` } });
  await gateway.addResource('office', 'office.corp', office.url);
  await gateway.addResource('db', 'db.corp:5432', 'tcp://127.0.0.1:9', 'tcp');
  await gateway.operator.call(api.resources.put, {
    params: { name: 'wiki' },
    body: {
      kind: 'http',
      authority: 'wiki.corp',
      title: 'Company wiki',
      backend: { url: office.url, networks: ['127.0.0.0/8'] },
    },
  });
  await gateway.operator.call(api.policies.put, {
    params: { name: 'wiki' },
    body: { groups: ['staff'], resources: ['wiki'], context: {} },
  });
  await gateway.addUser('ada');
  browser = await PhoneBrowser.start();
  page = await browser.page();
  frame = page.frameLocator('#page');
  await page.goto(await gateway.link('ada'));
  await page.fill('#user', 'ada');
  await page.fill('#password', PASSWORD);
  await page.click('button[type=submit]');
  await page.getByRole('link', { name: 'office' }).waitFor();
});
afterAll(async () => {
  await browser.close();
  await phone.end();
  await gateway.stop();
  office.close();
});

test('an application is signed in to with a form and cookies, and its scripts run', async () => {
  await page.getByRole('link', { name: 'office' }).click();
  await frame.getByRole('heading', { name: 'Sign in' }).waitFor();
  await frame.getByLabel('User').fill('ada');
  await frame.getByRole('button', { name: 'Sign in' }).click();
  await frame.getByRole('heading', { name: 'Desk' }).waitFor();
  await frame.getByText('hello ada from http://office.corp').waitFor();
});

test('its own address holds in scripts, WebSockets and event streams', async () => {
  await frame.getByText('you said: good morning').waitFor();
  await frame.getByText('tide 2.1 m').waitFor();
  const hello = (await frame.locator('#hello').textContent())!;
  // What the server got: its cookies, the script's, and none that the script may see of those it may not.
  expect(hello).toContain('| __Host-sid,csrf,seen,theme |');
  const seen = hello.split(' | ')[2]!.split('; ').sort();
  expect(seen).toEqual(['csrf=t-42', 'fresh=1', 'seen=yes', 'theme=dark']);
  expect(await frame.locator('h1').evaluate((heading) => getComputedStyle(heading).color)).toBe('rgb(1, 2, 3)');
});

test('links, redirects, new windows and history lead where they lead in a browser', async () => {
  const heading = (name: string) => frame.getByRole('heading', { name }).waitFor();
  for (const [link, shown] of [
    ['#next', 'Page 2'],
    ['#absolute', 'Page 3'],
    ['#window', 'Page 4'],
    ['#moved', 'Page 5'],
  ] as const) {
    await frame.locator(link).click();
    await heading(shown);
    await page.waitForURL((url) => url.hash === `#/http://office.corp/list?page=${shown.at(-1)}`);
    await page.goBack();
    await heading('Desk');
  }
  await frame.locator('#next').click();
  await heading('Page 2');
  expect(await page.textContent('#title')).toBe('List');
  await page.reload();
  await heading('Page 2');
  expect(page.url()).toMatch(/#\/http:\/\/office\.corp\/list\?page=2$/);
  await page.getByRole('button', { name: 'Sallyport: your resources' }).click();
  await page.getByRole('heading', { name: 'Your resources' }).waitFor();
  await page.goBack();
  await heading('Page 2');
  await frame.getByRole('link', { name: 'Desk' }).click();
  await heading('Desk');
});

test('files go up and come down, whole and under their names', async () => {
  const content = Buffer.alloc(3_000_000, 'boats and berths ');
  await frame
    .getByLabel('File')
    .setInputFiles({ name: 'plan.bin', mimeType: 'application/octet-stream', buffer: content });
  await frame.locator('#send').click();
  await frame.getByRole('heading', { name: /^Got 3000\d\d\d of 3000\d\d\d$/ }).waitFor();
  await page.goBack();
  const [report] = await Promise.all([page.waitForEvent('download'), frame.locator('#report').click()]);
  expect(report.suggestedFilename()).toBe('report.csv');
  expect(
    createHash('sha256')
      .update(readFileSync(await report.path()))
      .digest('hex'),
  ).toBe(createHash('sha256').update('day,boats\n'.padEnd(300_000, 'mon,7\n')).digest('hex'));
  const [saved] = await Promise.all([page.waitForEvent('download'), frame.locator('#save').click()]);
  expect(saved.suggestedFilename()).toBe('plain.txt');
  expect(readFileSync(await saved.path(), 'utf8')).toBe('plain words');
});

test('a resource that asks for a password gets one from the shell', async () => {
  await page.goto(`${new URL(page.url()).origin}/#/http://office.corp/locked`);
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('User name').fill('ada');
  await dialog.getByLabel('Password').fill('wrong');
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await dialog.getByText('That was not right').waitFor();
  await dialog.getByLabel('User name').fill('ada');
  await dialog.getByLabel('Password').fill('s3cret');
  expect(await barriers(page)).toEqual([]);
  await picture(page, 'phone-password');
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await frame.getByRole('heading', { name: 'Open' }).waitFor();
});

test('home finds, keeps favourites first, and says what a connection is for; in the dark too', async () => {
  await page.getByRole('button', { name: 'Sallyport: your resources' }).click();
  const cards = page.locator('#resources > li');
  const first = () => cards.first().textContent();
  expect(await cards.count()).toBe(3);
  expect(await first()).toContain('Company wiki');
  await page.getByRole('button', { name: 'Favourite: office' }).click();
  expect(await first()).toContain('office');
  // The icon that its pages named is known by now.
  await expect.poll(() => cards.first().locator('img.icon').count()).toBe(1);
  await page.getByText('How to use it').click();
  await page.getByText('--tcp 5432=db.corp:5432').waitFor();
  const overflow = () => page.evaluate(() => document.querySelector('#view')!.scrollWidth - innerWidth);
  expect(await overflow()).toBeLessThanOrEqual(0);
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await barriers(page)).toEqual([]);
  await picture(page, 'phone-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('searchbox').fill('comp wiki');
  expect(await cards.count()).toBe(1);
  await page.getByRole('searchbox').fill('http://elsewhere.example/x');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText('http://elsewhere.example/x').waitFor();
  await page.getByRole('button', { name: 'Stay' }).click();
  await page.goBack();
  await frame.getByRole('heading', { name: 'Open' }).waitFor();
});

test('a page that cannot be had is one that says why, at its address', async () => {
  await gateway.operator.call(api.policies.remove, { params: { name: 'wiki' } });
  await page.goto(`${new URL(page.url()).origin}/#/http://wiki.corp/start`);
  await frame.getByRole('heading', { name: 'This page cannot be shown' }).waitFor();
  await frame.getByText('RESOURCE_UNKNOWN').waitFor();
  expect(await page.textContent('#address')).toBe('wiki.corp/start');
  await page.goBack();
  await frame.getByRole('heading', { name: 'Open' }).waitFor();
});

test('a sign-out forgets what resources have left here', async () => {
  const originOf = () => page.evaluate(() => new URL(document.querySelector<HTMLIFrameElement>('#page')!.src).origin);
  const before = await originOf();
  await page.getByRole('button', { name: 'Sallyport: your resources' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.fill('#user', 'ada');
  await page.fill('#password', PASSWORD);
  await page.click('button[type=submit]');
  await page.getByRole('link', { name: 'office' }).click();
  // Neither its session nor the password of its vault is known any more.
  await frame.getByRole('heading', { name: 'Sign in' }).waitFor();
  expect(await originOf()).not.toBe(before);
});

test('the pages raised no error of their own', () => {
  expect(browser.problems).toEqual([]);
});
