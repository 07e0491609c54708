import { fork } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, expect, test } from 'vitest';
import { sallyport } from '../src/run-command.ts';
import { scratchFolder } from '../src/scratch.ts';

const ROOT = new URL('../../../', import.meta.url);
const CLI = fileURLToPath(new URL('apps/cli/src/main.ts', ROOT));
const folder = scratchFolder();
/** Above the ports of the other tests, below the ephemeral ones; `up` takes some of the next forty. */
const basePort = String(31_000 + (process.pid % 35) * 45);

interface Started {
  readonly link: string;
  readonly user: string;
  readonly password: string;
  stop(): Promise<void>;
}

/** Runs what `npm start` runs, on ports of its own. */
async function startAll(): Promise<Started> {
  const child = fork(CLI, ['--data', folder, 'up', '--base-port', basePort], { silent: true });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (data) => {
      output += data;
    });
  const ready = await new Promise<Omit<Started, 'stop'>>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Started));
    child.once('exit', (code) => reject(new Error(`it ended with ${code}:\n${output}`)));
  });
  const stop = async (): Promise<void> => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
    expect(output).toContain('stopped; everything is kept');
  };
  return { ...ready, stop };
}

let browser: Browser | undefined;
let started = await startAll();
afterAll(async () => {
  await browser?.close();
  await started.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function openPhone(): Promise<Page> {
  browser ??= await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const context = await browser.newContext({ viewport: { width: 520, height: 900 }, deviceScaleFactor: 2 });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  return page;
}

const problems: string[] = [];

/** Pictures for the docs are written only when asked for. */
async function picture(page: Page, name: string): Promise<void> {
  const bytes = await page.screenshot();
  const target = process.env['PICTURES'];
  if (target) writeFileSync(join(target, `${name}.png`), bytes);
}

/** Everybody can use the page: no violation of WCAG 2.2 AA that a machine can find. */
async function expectAccessible(shown: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page: shown }).exclude('#page').analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
}

let page: Page;

test('the phone page enrols, signs in and shows an intranet page with its pictures', async () => {
  page = await openPhone();
  await page.goto(started.link);
  await page.fill('#user', started.user);
  await page.fill('#password', 'wrong');
  await page.click('button[type=submit]');
  await page.getByText('user name or password is wrong').waitFor();
  await page.fill('#password', started.password);
  await picture(page, 'phone-enrol');
  await expectAccessible(page);
  await page.click('button[type=submit]');
  await page.getByText('intranet.example · http').waitFor();
  expect(await page.textContent('#state')).toBe('connected');
  expect(page.url()).not.toContain('#');
  await picture(page, 'phone-home');
  await expectAccessible(page);
  await page.click('#resources button');
  const frame = page.frameLocator('#page');
  await frame.getByRole('heading', { name: 'Good morning' }).waitFor();
  expect(await frame.locator('img.wide').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(0);
  await picture(page, 'phone-page');
  await expectAccessible(page);
  await frame.getByRole('link', { name: 'Who am I', exact: true }).click();
  await frame.getByText('You are ada').waitFor();
}, 90_000);

test('it uploads a file and lists it', async () => {
  await page.click('[data-tab=files]');
  await page.setInputFiles('#file', { name: 'berths.txt', mimeType: 'text/plain', buffer: Buffer.alloc(300_000, 'a') });
  await page.getByText('300,000 bytes').waitFor();
  await expectAccessible(page);
}, 60_000);

test('it chats over a WebSocket', async () => {
  await page.click('[data-tab=chat]');
  await page.fill('#message', 'hello harbour');
  await page.waitForTimeout(300);
  await page.keyboard.press('Enter');
  await page.locator('#messages').getByText('hello harbour').waitFor();
  await expectAccessible(page);
}, 60_000);

test('it survives a restart of everything without a new login', async () => {
  await started.stop();
  await page.getByText('connecting…').waitFor();
  started = await startAll();
  await page.getByText('connected', { exact: true }).waitFor({ timeout: 30_000 });
  await page.reload();
  await page.getByText('intranet.example · http').waitFor();
}, 120_000);

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
  await page.getByText('The session is over (REVOKED)').waitFor();
  expect(await page.textContent('#state')).toBe('signed out');
  const audit = (await sallyport(['--data', folder, 'audit', 'tail', '-n', '3'])).stdout;
  expect(audit).toContain('phone lost');
}, 60_000);

test('the pages raised no error of their own', () => {
  // The restart cuts connections, and the frame's sandbox stops even the scripts with which this test looks into it.
  const unexpected = problems.filter(
    (text) => !/WebSocket connection to|ERR_CONNECTION_REFUSED|'about:srcdoc'/.test(text),
  );
  expect(unexpected).toEqual([]);
});
