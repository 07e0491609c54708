import { type Browser, chromium } from 'playwright-core';

const FLAGS = [
  'headless',
  'no-sandbox',
  'disable-gpu',
  'disable-quic',
  'no-first-run',
  'disable-background-networking',
  'disable-component-update',
  'disable-sync',
];

/** How long a page may take for anything before a test gives up, in ms: far longer than it takes, a machine may be slow. */
export const PAGE_WITHIN_MS = 90_000;

/** The machine's own Chromium, without a window and without traffic of its own. Contexts need `PAGE_WITHIN_MS` as their limit. */
export function launchChromium(
  flags: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    timeout: PAGE_WITHIN_MS,
    args: [...FLAGS.map((flag) => `--${flag}`), ...flags],
    env: { ...(process.env as Record<string, string>), ...environment },
  });
}
