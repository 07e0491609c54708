import { launchChromium } from '@sallyport/support';
import { picture } from './phone-browser.ts';

const STYLE =
  'body{margin:0;background:#14212e}pre{margin:0;padding:20px 24px;display:inline-block;font:14px/1.5 monospace;color:#e6edf4}b{color:#6cb2f5;font-weight:400}';

/** A picture for the docs of a command and what it printed; made only when pictures are asked for. */
export async function terminalPicture(command: string, printed: string, name: string): Promise<void> {
  if (!process.env['PICTURES']) return;
  const browser = await launchChromium();
  try {
    const width = 40 + 9 * Math.max(...printed.split('\n').map(({ length }) => length));
    const height = 42 + 21 * (printed.split('\n').length + 1);
    const page = await browser.newPage({ viewport: { width, height }, deviceScaleFactor: 2 });
    await page.setContent(`<style>${STYLE}</style><pre><b></b>\n</pre>`);
    await page.evaluate(
      ([prompt, text]) => {
        const pre = document.querySelector('pre')!;
        pre.querySelector('b')!.textContent = prompt!;
        pre.append(text!);
      },
      [`$ ${command}`, printed],
    );
    await picture(page, name);
  } finally {
    await browser.close();
  }
}
