import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening, startCommand } from '@sallyport/support';
import type { FrameLocator, Page } from 'playwright-core';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { PYTHON } from './python.ts';

const TOKEN = 'open-sesame';

/** A notebook with one cell. It is shown alone under this path: the whole of JupyterLab is too wide for a phone. */
const NOTEBOOK = '/doc/tree/sum.ipynb';
const CELL = {
  cell_type: 'code',
  id: 'sum',
  source: 'print(6 * 7 * 1000)',
  metadata: {},
  outputs: [],
  execution_count: null,
};
const CONTENT = {
  cells: [CELL],
  metadata: { kernelspec: { name: 'python3', display_name: 'Python 3', language: 'python' } },
  nbformat: 4,
  nbformat_minor: 5,
};

/** Runs the cell of the notebook. */
async function runCell(page: Page, app: Page | FrameLocator): Promise<string> {
  const cell = app.locator('.jp-Notebook .jp-CodeCell .cm-content').first();
  await cell.click({ timeout: 120_000 });
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
    writeFileSync(join(folder, 'sum.ipynb'), JSON.stringify(CONTENT));
    const program = startCommand(
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
        await page.goto(`http://${host}${NOTEBOOK}?token=${TOKEN}`);
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
        await app.locator('#jp-main-dock-panel').waitFor({ timeout: 120_000 });
        await app.locator('body').evaluate(`location.assign('${NOTEBOOK}')`);
        return runCell(page, app);
      },
    },
  ],
};
