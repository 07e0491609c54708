import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { finishProviderSignIn, type PendingSignIn, type ProviderCredentials } from '@sallyport/device';
import { CliError } from './output.ts';
import { warn } from './terminal.ts';

/** How long a person may take in the browser, ms. */
const PATIENCE_MS = 300_000;
const PAGE =
  '<!doctype html><meta charset="utf-8"><title>Sallyport</title><body style="font:1rem system-ui;margin:3rem">Done. You can close this window and go back to the terminal.';

/**
 * Sends the person's browser to a provider and waits until it comes back to a port of this machine that was chosen just now
 * (RFC 8252, section 7.3). `begin` gives where to send it. @throws CliError, DeviceError SIGN_IN_FAILED
 */
export async function signInByBrowser(
  begin: (redirect: string) => { readonly url: string; readonly pending: PendingSignIn },
): Promise<ProviderCredentials> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    const { url, pending } = begin(redirect);
    warn`open this in a browser to sign in:\n\n  ${url}\n\n`;
    return finishProviderSignIn(pending, await comeBack(server, redirect, pending.state));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The answer to this sign-in, known by its state: any program of this machine may ask here, for anything, and ends nothing. */
function comeBack(server: ReturnType<typeof createServer>, redirect: string, state: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new CliError('nobody came back from the browser', 'run the command again'));
    const timer = setTimeout(late, PATIENCE_MS);
    server.on('request', (request, response) => {
      const url = URL.parse(request.url ?? '/', redirect);
      if (!url || url.origin !== new URL(redirect).origin) return void response.writeHead(404).end();
      if (url.pathname !== '/' || url.searchParams.get('state') !== state) return void response.writeHead(404).end();
      // Also a browser that does not wait for the page has come back.
      response.once('close', () => {
        clearTimeout(timer);
        resolve(url.href);
      });
      response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    });
  });
}
