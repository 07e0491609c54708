import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening, startCommand } from '@sallyport/support';
import type { FrameLocator, Page } from 'playwright-core';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { run } from '../command.ts';
import { PYTHON } from './python.ts';

const STREAMLIT_APP = `
import streamlit as st
st.title('Tides')
if st.button('Measure'):
    st.write('high water is at ' + str(3 * 4) + ':00')
`;

async function measure(app: Page | FrameLocator): Promise<string> {
  await app.getByRole('button', { name: 'Measure' }).click({ timeout: 90_000 });
  await app.getByText('high water is at 12:00').waitFor({ timeout: 60_000 });
  return 'a button is answered over its WebSocket';
}

/** Streamlit: a page that lives over a WebSocket. */
export const streamlit: Application = {
  name: 'tides',
  title: 'Streamlit',
  needs: { python: [PYTHON.streamlit] },
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    writeFileSync(join(folder, 'app.py'), STREAMLIT_APP);
    const options = {
      'server.port': port,
      'server.address': '127.0.0.1',
      'server.headless': true,
      'browser.gatherUsageStats': false,
      'browser.serverAddress': 'tides.corp',
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const program = startCommand(programs.python('streamlit'), ['run', 'app.py', ...args], {
      cwd: folder,
      environment: { HOME: folder },
    });
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'Chromium: press a button',
      through: 'forward',
      async use({ laptop, host }) {
        const page = await laptop();
        await page.goto(`http://${host}/`);
        const seen = await measure(page);
        await page.close();
        return seen;
      },
    },
    { name: 'Chromium: press a button', through: 'phone', use: async ({ phone }) => measure((await phone()).app) },
  ],
};

/** datasette: tables of an SQLite file. */
export const datasette: Application = {
  name: 'ships',
  title: 'datasette',
  needs: { python: [PYTHON.datasette] },
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    const fill = `import sqlite3
file = sqlite3.connect('ships.db')
file.execute('create table ships (name text, berth integer)')
file.executemany('insert into ships values (?, ?)', [('ship %d' % i, i) for i in range(5000)])
file.commit()`;
    await run(programs.python('python'), ['-c', fill], { cwd: folder });
    const program = startCommand(programs.python('datasette'), ['serve', 'ships.db', '--port', String(port)], {
      cwd: folder,
    });
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'curl: a query as JSON',
      through: 'forward',
      async use({ host, proxy }) {
        const query = `http://${host}/ships.json?sql=select+count(*)+as+n+from+ships+where+name+like+'ship+1%25'`;
        const seen = await run('curl', ['-sSL', '-x', proxy, query]);
        expectSeen(seen.includes('[1111]') || seen.includes('"n": 1111'), seen);
        return '1,111 rows counted';
      },
    },
    {
      name: 'Chromium: a table, sorted by its link',
      through: 'phone',
      async use({ phone }) {
        const { app } = await phone();
        await app.getByRole('link', { name: 'ships', exact: true }).first().click({ timeout: 60_000 });
        await app.getByRole('link', { name: 'ships', exact: true }).last().click();
        await app.getByText('5,000 rows').waitFor({ timeout: 60_000 });
        return '5,000 rows';
      },
    },
  ],
};
