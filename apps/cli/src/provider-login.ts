import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CliError } from './output.ts';

/** How long a person may take in the browser, ms. */
const PATIENCE_MS = 300_000;
const PAGE =
  '<!doctype html><meta charset="utf-8"><title>Sallyport</title><body style="font:1rem system-ui;margin:3rem">Done. You can close this window and go back to the terminal.';

/** The URL with which a browser came back, and where it was sent. */
export interface BrowserAnswer {
  readonly callback: string;
  readonly redirect: string;
}

/**
 * Sends the person's browser somewhere and waits until it comes back to a port of this machine that was chosen just now
 * (RFC 8252, section 7.3). `urlFor` gives where to send it. @throws CliError
 */
export async function throughBrowser(urlFor: (redirect: string) => string): Promise<BrowserAnswer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  process.stderr.write(`open this in a browser to sign in:\n\n  ${urlFor(redirect)}\n\n`);
  try {
    return { callback: await comeBack(server, redirect), redirect };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function comeBack(server: ReturnType<typeof createServer>, redirect: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new CliError('nobody came back from the browser', 'run the command again'));
    const timer = setTimeout(late, PATIENCE_MS);
    server.on('request', (request, response) => {
      const url = new URL(request.url ?? '/', redirect);
      if (url.pathname !== '/' || url.search === '') return void response.writeHead(404).end();
      response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE, () => {
        clearTimeout(timer);
        resolve(url.href);
      });
    });
  });
}

/** Secrets of one sign-in with PKCE (RFC 7636). */
export function newPkce(): { verifier: string; challenge: string; state: string; nonce: string } {
  const verifier = randomBytes(32).toString('base64url');
  const hash = (text: string): string => createHash('sha256').update(text).digest('base64url');
  const state = randomBytes(16).toString('base64url');
  return { verifier, challenge: hash(verifier), state, nonce: hash(`sallyport/1 oidc nonce${verifier}`) };
}
