import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { freeBasePort, type StartedAll, sallyport, scratchFolder, startAll } from '@sallyport/support';
import { Secret, TOTP } from 'otpauth';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLIENT_ID, CLIENT_SECRET, RealProvider } from '../src/directory/provider.ts';
import { barriers, PhoneBrowser, picture } from '../src/phone-browser.ts';

const folder = scratchFolder();
const basePort = await freeBasePort();
const phone = `http://phone.localhost:${basePort + 40}`;
/** Providers allow plain http for this name only. */
const plain = `http://localhost:${basePort + 40}`;
let started: StartedAll;
let browser: PhoneBrowser;
let provider: RealProvider;

/** A command of the guide, as an operator types it. */
async function run(...args: string[]): Promise<string> {
  const { stdout, stderr, code } = await sallyport(['--data', folder, ...args], CLIENT_SECRET);
  if (code !== 0) throw new Error(`sallyport ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

beforeAll(async () => {
  started = await startAll(folder, basePort);
  browser = await PhoneBrowser.start();
  const logoutUri = `https://127.0.0.1:${basePort + 5}/oidc/idp/backchannel-logout`;
  const redirect = `${plain}/signed-in`;
  provider = await RealProvider.start({ redirects: [redirect], logoutUri, trust: join(folder, 'security', 'ca.pem') });
  const where = ['--issuer', provider.issuer, '--ca', provider.caFile, '--redirect', redirect];
  const client = ['--client-id', CLIENT_ID, '--secret-stdin', '--scope', 'openid profile', '--groups-claim', 'groups'];
  expect(await run('directory', 'add', 'oidc', 'idp', ...where, ...client)).toContain('✔ client id and secret');
  await run('user', 'add', 'grace', '--directory', 'idp');
});
afterAll(async () => {
  await browser.close();
  await provider.stop();
  await started.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function signInAtProvider(page: Page, login: string): Promise<void> {
  await page.getByRole('button', { name: 'Sign in with idp' }).click();
  await page.waitForURL(`${provider.issuer}/**`);
  const back = page.getByText('Your resources');
  const asks = page.getByRole('button', { name: /^(Sign-in|Continue)$/ });
  for (;;) {
    await back.or(asks).waitFor();
    if (await back.isVisible()) return;
    const name = page.locator('input[name=login]');
    if (await name.isVisible()) await name.fill(login);
    if (await name.isVisible()) await page.locator('input[name=password]').fill('whatever');
    await asks.click();
  }
}

let page: Page;

test("somebody of the company enrols with the link and the company's own sign-in page", async () => {
  const [link = ''] = /http\S+#\S+/.exec(await run('code', 'new', 'grace')) ?? [];
  page = await browser.page();
  await page.goto(link);
  await page.getByRole('button', { name: 'Sign in with idp' }).waitFor();
  await picture(page, 'phone-provider');
  expect(await barriers(page)).toEqual([]);
  await signInAtProvider(page, 'grace');
  expect(await page.textContent('#state')).toBe('connected');
  // Neither the code of the provider nor the one of the link stays in the address.
  expect(page.url()).toBe(`${phone}/`);
});

test('a group of the provider opens the intranet, once a policy says so', async () => {
  await run('policy', 'add', 'crew-intranet', '-g', 'g-crew@idp', '-r', 'intranet');
  await page.getByRole('link', { name: 'Sample intranet' }).waitFor();
  expect(await run('user', 'rights', 'grace')).toContain('crew-intranet opens it for g-crew@idp');
});

test('signed out here, one press signs in again: the company still knows who it is', async () => {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await signInAtProvider(page, 'grace');
  await page.getByRole('link', { name: 'Sample intranet' }).waitFor();
});

test('who signs out at the company is signed out on the phone', async () => {
  const other = await browser.page();
  await other.goto(provider.endSession);
  await other.getByRole('button', { name: 'Yes, sign me out' }).click();
  await page.getByText(/^Your session is over: .+ \(REVOKED\)\.$/).waitFor();
  expect(await page.textContent('#state')).toBe('signed out');
  await other.close();
});

test('a local user with a second factor types the code of the authenticator app', async () => {
  const factor = JSON.parse(await run('--json', 'user', 'second-factor', started.user)) as { secret: string };
  const totp = new TOTP({ secret: Secret.fromBase32(factor.secret), digits: 6, period: 30, algorithm: 'SHA1' });
  // A phone of its own: the first one belongs to somebody else.
  const second = await PhoneBrowser.start();
  const shown = await second.page();
  await shown.goto(started.link);
  await shown.fill('#user', started.user);
  await shown.fill('#password', started.password);
  await shown.click('button[type=submit]');
  await shown.fill('#code', '000 000');
  await picture(shown, 'phone-second-factor');
  expect(await barriers(shown)).toEqual([]);
  await shown.getByRole('button', { name: 'Go on' }).click();
  await shown.getByText('3 tries are left.').waitFor();
  await shown.fill('#code', totp.generate());
  await shown.getByRole('button', { name: 'Go on' }).click();
  await shown.getByRole('link', { name: 'Sample intranet' }).waitFor();
  expect(second.problems).toEqual([]);
  await second.close();
});

test('the pages raised no error of their own', () => {
  expect(browser.problems.filter((text) => !/WebSocket connection to/.test(text))).toEqual([]);
});
