import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { launchChromium, PAGE_WITHIN_MS } from '@sallyport/support';
import type { Browser, BrowserContext, Page } from 'playwright-core';

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
    const browser = await launchChromium();
    const viewport = { width: 375, height: 780 };
    const context = await browser.newContext({ viewport, deviceScaleFactor: 2, ignoreHTTPSErrors: true });
    context.setDefaultTimeout(PAGE_WITHIN_MS);
    return new PhoneBrowser(browser, context);
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

/** What a page shows, and each frame in it: for the words of a test that waited in vain. */
export async function describePage(page: Page): Promise<string> {
  const parts = page.frames().map(async (frame) => {
    const text = await Promise.race([
      frame.evaluate(() => document.body.innerText.slice(0, 500)).catch(String),
      new Promise((resolve) => setTimeout(resolve, 2_000, 'it does not answer')),
    ]);
    return `${frame.url()}: ${JSON.stringify(text)}`;
  });
  return (await Promise.all(parts)).join('\n');
}
