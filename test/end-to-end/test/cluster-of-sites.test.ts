import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { hasProgram } from '@sallyport/local-cluster';
import { type StartedAll, sallyport, scratchFolder, startCluster } from '@sallyport/support';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { barriers, PhoneBrowser, picture } from '../src/phone-browser.ts';

const missing = ['patroni', 'etcd', 'redis-server', 'haproxy'].filter((program) => !hasProgram(program));
if (missing.length > 0) process.stdout.write(`cluster up is not tried: ${missing.join(', ')} is missing\n`);

const folder = scratchFolder();
let started: StartedAll;
let browser: PhoneBrowser;
beforeAll(async () => {
  if (missing.length > 0) return;
  const smallest = ['--nodes', '1', '--proxies', '1', '--no-archive'];
  started = await startCluster(folder, ['--sites', '2', ...smallest]);
  browser = await PhoneBrowser.start();
});
afterAll(async () => {
  await browser?.close();
  await started?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens a resource from the list of the phone page, whose pages then come by a site. */
async function open(page: Page, authority: string, way: string): Promise<void> {
  await page.click('#home');
  await page.click(`a[href="#/http://${authority}/"]`);
  await page.frameLocator('#page').getByRole('heading', { name: 'Good morning' }).waitFor();
  expect(await page.textContent('#address')).toContain(authority);
  await expect.poll(() => page.textContent('#site')).toBe(way);
}

test.skipIf(missing.length > 0)(
  'a branch behind a slow line: the phone page says by which site pages come',
  async () => {
    // Whoever needs the CA reads the file that a node keeps: a copy would not follow a new one.
    expect(existsSync(join(folder, 'data', 'ca.pem'))).toBe(false);
    expect(started.said()).toMatch(/The line.*80 ms, 10 Mbit\/s[\s\S]*Branch.*[\s\S]*b1 :\d+ {3}b2 :\d+/);
    const page = await browser.page();
    await page.goto(started.link);
    await page.fill('#user', started.user);
    await page.fill('#password', started.password);
    await page.click('button[type=submit]');
    await page.getByRole('link', { name: 'Branch intranet, through the main site' }).waitFor();
    await picture(page, 'sites-home');
    await open(page, 'branch.example', 'by branch');
    await picture(page, 'sites-branch');
    expect(await barriers(page)).toEqual([]);
    await open(page, 'branch-by-main.example', 'by here');
    await page.frameLocator('#page').getByRole('link', { name: 'Who am I', exact: true }).click();
    await page.frameLocator('#page').getByText('You are ada').waitFor();
    await open(page, 'intranet.example', 'by here');
    expect(browser.problems).toEqual([]);
  },
);

test.skipIf(missing.length > 0)(
  'Proxies of the branch reach Security over the line, and those beside it do not',
  async () => {
    const rtts = async (site: string): Promise<number[]> => {
      const { stdout } = await sallyport(['--data', join(folder, 'data'), '--json', 'site', 'show', site]);
      const { proxies } = JSON.parse(stdout) as { proxies: { rttMs: number | null }[] };
      return proxies.flatMap(({ rttMs }) => rttMs ?? []);
    };
    await expect.poll(() => rtts('branch')).toHaveLength(2);
    expect(Math.min(...(await rtts('branch')))).toBeGreaterThanOrEqual(80);
  },
);

test.skipIf(missing.length > 0)(
  'Proxies of both sites reach what Security answers for, those of the branch over the line',
  async () => {
    const tries = async (): Promise<{ proxy: string; ok: boolean; ms: number }[]> => {
      const { stdout } = await sallyport(['--data', join(folder, 'data'), '--json', 'resource', 'test', 'updates']);
      return JSON.parse(stdout);
    };
    await expect
      .poll(async () => (await tries()).map(({ proxy, ok }) => [proxy, ok]).sort())
      .toEqual([
        ['b1', true],
        ['b2', true],
        ['p1', true],
      ]);
    const branch = (await tries()).filter(({ proxy }) => proxy !== 'p1');
    expect(Math.min(...branch.map(({ ms }) => ms))).toBeGreaterThanOrEqual(80);
    const { stdout: rights } = await sallyport(['--data', join(folder, 'data'), 'user', 'rights', started.user]);
    expect(rights).toMatch(/branch-intranet: .*\n +at branch by b1, b2 \(staff-intranet\)/);
  },
);
