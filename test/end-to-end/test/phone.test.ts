import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as api from '@sallyport/security-api/admin';
import { freeBasePort, type StartedAll, sallyport, scratchFolder, startAll } from '@sallyport/support';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Operator } from '../src/operator.ts';
import { barriers, PhoneBrowser, picture } from '../src/phone-browser.ts';
import { Publishing } from '../src/publishing.ts';

const folder = scratchFolder();
const basePort = await freeBasePort();
let started: StartedAll;
let browser: PhoneBrowser;
let operator: Operator;
let publishing: Publishing;
beforeAll(async () => {
  started = await startAll(folder, basePort);
  const { url, ca, token } = JSON.parse(readFileSync(join(folder, 'cli', 'operator.json'), 'utf8'));
  operator = new Operator(url, ca, token);
  publishing = await Publishing.begin(operator);
  browser = await PhoneBrowser.start();
});
afterAll(async () => {
  await operator.close();
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

/** Goes to the apps, from wherever the page is. */
async function goToApps(): Promise<void> {
  await page.getByRole('button', { name: 'Sallyport: your resources' }).click();
  await page.getByRole('button', { name: 'Apps' }).click();
}

let usedLink = '';

/** Installs an app as on a phone that has nothing yet; programs that look at the link use nothing up. */
async function installByLink(id: string, content: Buffer): Promise<void> {
  const { link } = await operator.call(api.apps.link, { params: { id }, body: { user: started.user } });
  for (let look = 0; look < 3; look++) expect((await fetch(link)).status).toBe(200);
  const fresh = await browser.page();
  await fresh.goto(link);
  await fresh.getByRole('img', { name: 'QR code of this link' }).waitFor();
  expect(await barriers(fresh)).toEqual([]);
  await picture(fresh, 'install-link');
  await fresh.getByRole('button', { name: 'Install on this phone' }).click();
  const get = fresh.getByRole('link', { name: /^the web: get 1\.1/ });
  await get.waitFor();
  expect(await barriers(fresh)).toEqual([]);
  const download = fresh.waitForEvent('download');
  await get.click();
  const file = await download;
  expect(file.suggestedFilename()).toBe(`${id}-1.1.zip`);
  expect(readFileSync(await file.path()).equals(content)).toBe(true);
  await fresh.close();
  expect((await fetch(link)).status).toBe(410);
  const { link: raced } = await operator.call(api.apps.link, { params: { id }, body: { user: started.user } });
  // Four of one address are looked at at once.
  const answers = await Promise.all([1, 2, 3, 4].map(() => fetch(raced, { method: 'POST' })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 410, 410, 410]);
  usedLink = link;
}

test('what npm start has set up serves apps: the page lists those of the user, gets one and its update, verified', async () => {
  await operator.call(api.groups.put, { params: { name: 'board' } });
  const [app, others] = ['com.example.field', 'com.example.board'];
  await operator.call(api.apps.put, { params: { id: app }, body: { title: 'Field', groups: ['staff'] } });
  await operator.call(api.apps.put, { params: { id: others }, body: { title: 'Board papers', groups: ['board'] } });
  const packages = [Publishing.webApp(app, '1.0', 3_000_000), Publishing.webApp(app, '1.1')] as const;
  await publishing.publish(packages[0], { en: 'The first version.' });
  await publishing.publish(Publishing.webApp(others, '1.0'));
  await goToApps();
  const get = async (name: string): Promise<Buffer> => {
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name }).click();
    return readFileSync(await (await download).path());
  };
  await page.getByRole('button', { name: 'Install: Field' }).waitFor();
  expect(await page.getByText('Board papers').count()).toBe(0);
  expect(await barriers(page)).toEqual([]);
  expect((await get('Install: Field')).equals(packages[0])).toBe(true);
  await page.getByText('You have 1.0: open the file to install it.').waitFor();
  // This phone alone gets it early.
  const channels = { beta: [] };
  await operator.call(api.apps.put, { params: { id: app }, body: { title: 'Field', groups: ['staff'], channels } });
  const installation = (await operator.call(api.installations.list)).find(({ user }) => user === started.user)!.id;
  await operator.call(api.apps.assign, { params: { id: app, channel: 'beta', installation } });
  const notes = { de: 'Schneller.', en: 'It is quicker, and works in tunnels.' };
  const release = await publishing.publish(packages[1], notes, 'beta');
  // What the address says stays what is shown.
  await page.reload();
  await page.getByText('It is quicker, and works in tunnels.').waitFor();
  expect(await page.locator('#apps .badge').textContent()).toBe('beta');
  await picture(page, 'phone-apps');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'phone-apps-dark');
  expect(await barriers(page)).toEqual([]);
  await page.emulateMedia({ colorScheme: null });
  expect((await get('Update to 1.1: Field')).equals(packages[1])).toBe(true);
  await page.getByText('You have 1.1').waitFor();
  const steps = [{ percent: 100, afterMs: 0 }];
  const body = { do: 'steps', channel: 'stable', steps } as const;
  await operator.call(api.releases.rollout, { params: { id: release }, body });
  await installByLink(app, packages[1]);
  await operator.call(api.apps.put, { params: { id: app }, body: { title: 'Field', groups: ['board'] } });
  await goToApps();
  await page.getByText('There is no app for you yet.').waitFor();
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('button', { name: 'Your resources', exact: true }).click();
  await page.getByRole('link', { name: 'Sample intranet' }).click();
  await page.frameLocator('#page').getByRole('link', { name: 'Chat', exact: true }).click();
  await page.frameLocator('#page').getByLabel('Message').waitFor();
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
  expect((await fetch(usedLink, { method: 'POST' })).status).toBe(410);
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

test('who was disabled and is let in again enrols this device anew by a new link', async () => {
  const run = async (...args: readonly string[]) => {
    const done = await sallyport(['--data', folder, '--reason', 'came back', ...args]);
    expect(done.code, done.stderr).toBe(0);
    return done.stdout;
  };
  await run('user', 'disable', started.user);
  expect(await run('user', 'enable', started.user)).toContain(`sallyport code new ${started.user}`);
  await page.fill('#password', started.password);
  await page.click('button[type=submit]');
  await page.getByText('Ask your administrator for a new enrolment link').waitFor();
  const link = /http\S+/.exec(await run('code', 'new', started.user))![0];
  await page.goto(link);
  await page.getByText(`You have opened a new enrolment link for ${started.user}.`).waitFor();
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('button', { name: 'Enrol this device anew' }).click();
  await page.getByText(`This link is for ${started.user}.`).waitFor();
  expect(await page.inputValue('#user')).toBe(started.user);
  await page.fill('#password', started.password);
  await page.click('button[type=submit]');
  await page.getByRole('link', { name: 'Sample intranet' }).waitFor();
  expect(await page.textContent('#state')).toBe('connected');
});

test('the pages raised no error of their own', () => {
  // The restart cuts connections.
  const unexpected = browser.problems.filter((text) => !/WebSocket connection to|ERR_CONNECTION_REFUSED/.test(text));
  expect(unexpected).toEqual([]);
});
