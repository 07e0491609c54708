import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));

/** What `npm start` runs, started by a test. */
export interface StartedAll {
  readonly link: string;
  readonly user: string;
  readonly password: string;
  /** Ends it as Ctrl-C does; gives everything that it said. */
  stop(): Promise<string>;
}

/**
 * First port of a whole set-up: above those of the other tests, below the ephemeral ones; `up` takes some of the next forty.
 * Set-ups of different slots never meet.
 */
export function basePortOf(slot: 0 | 1): number {
  return 31_000 + (process.pid % 17) * 90 + slot * 45;
}

/** Runs what `npm start` runs, on ports of its own. */
export async function startAll(folder: string, basePort: number): Promise<StartedAll> {
  const child = fork(CLI, ['--data', folder, 'up', '--base-port', String(basePort)], { silent: true });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (data) => {
      output += data;
    });
  const ready = await new Promise<Omit<StartedAll, 'stop'>>((resolve, reject) => {
    child.once('message', (message) => resolve(message as StartedAll));
    child.once('exit', (code) => reject(new Error(`it ended with ${code}:\n${output}`)));
  });
  const stop = async (): Promise<string> => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
    return output;
  };
  return { ...ready, stop };
}

/** Chromium with one phone; `problems` are the errors that its pages raised. */
export class PhoneBrowser {
  readonly problems: string[] = [];
  readonly #browser: Browser;
  readonly #context: BrowserContext;

  private constructor(browser: Browser, context: BrowserContext) {
    this.#browser = browser;
    this.#context = context;
  }

  static async start(): Promise<PhoneBrowser> {
    const flags = [
      'no-sandbox',
      'disable-gpu',
      'disable-quic',
      'no-first-run',
      'disable-background-networking',
      'disable-component-update',
      'disable-sync',
    ];
    const browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--headless', ...flags.map((flag) => `--${flag}`)],
    });
    const viewport = { width: 375, height: 780 };
    return new PhoneBrowser(
      browser,
      await browser.newContext({ viewport, deviceScaleFactor: 2, ignoreHTTPSErrors: true }),
    );
  }

  async page(): Promise<Page> {
    const page = await this.#context.newPage();
    page.on('pageerror', (error) => this.problems.push(String(error)));
    // What other servers' pages say is their matter.
    const isOurs = (url: string): boolean => url === '' || /^http:\/\/phone\.localhost\b/.test(url);
    page.on('console', (message) => {
      if (message.type() === 'error' && isOurs(message.location().url)) this.problems.push(message.text());
    });
    return page;
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}

/** Pictures for the docs are written only when asked for. */
export async function picture(page: Page, name: string): Promise<void> {
  const bytes = await page.screenshot();
  const target = process.env['PICTURES'];
  if (target) writeFileSync(join(target, `${name}.png`), bytes);
}

/** What keeps people from using a page, of what a machine can find of WCAG 2.2 AA. */
export async function barriers(shown: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page: shown }).exclude('#page').analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
