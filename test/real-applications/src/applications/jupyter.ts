import type { FrameLocator, Page } from 'playwright-core';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { listening, start } from '../command.ts';
import { PYTHON } from './python.ts';

const TOKEN = 'open-sesame';

/** Makes a notebook and runs a cell of it. */
async function runCell(page: Page, app: Page | FrameLocator): Promise<string> {
  await app.locator('.jp-LauncherCard[data-category=Notebook]').first().click({ timeout: 120_000 });
  const cell = app.locator('.jp-Notebook .jp-CodeCell .cm-content').first();
  await cell.click({ timeout: 60_000 });
  await page.keyboard.type('print(6 * 7 * 1000)');
  await page.keyboard.press('Shift+Enter');
  const output = app.locator('.jp-OutputArea-output').first();
  await output.waitFor({ timeout: 60_000 });
  const text = (await output.textContent()) ?? '';
  expectSeen(text.includes('42000'), text);
  return 'a cell runs: 42000';
}

/** JupyterLab, whose kernels speak over WebSockets that are signed in by cookie. */
export const jupyter: Application = {
  name: 'jupyter',
  title: 'JupyterLab',
  needs: { python: [PYTHON.jupyterlab] },
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    const program = start(
      programs.python('jupyter-lab'),
      [
        '--no-browser',
        '--allow-root',
        `--ServerApp.port=${port}`,
        '--ServerApp.port_retries=0',
        `--IdentityProvider.token=${TOKEN}`,
        `--ServerApp.root_dir=${folder}`,
        '--ServerApp.allow_remote_access=True',
        '--LabApp.news_url=',
        '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
      ],
      { environment: { HOME: folder } },
    );
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'Chromium: a cell runs',
      through: 'forward',
      async use({ laptop, host }) {
        const page = await laptop();
        await page.goto(`http://${host}/lab?token=${TOKEN}`);
        const seen = await runCell(page, page);
        await page.close();
        return seen;
      },
    },
    {
      name: 'Chromium: signs in, a cell runs',
      through: 'phone',
      async use({ phone }) {
        const { page, app } = await phone();
        await app.locator('input[type=password]').first().fill(TOKEN, { timeout: 60_000 });
        await app.locator('button[type=submit], #login_submit').first().click();
        return runCell(page, app);
      },
    },
  ],
};
