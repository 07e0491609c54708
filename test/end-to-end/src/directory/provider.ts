import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTls } from '@sallyport/local-cluster';
import { freePort, scratchFolder } from '@sallyport/support';
import type { ProviderOptions, ProviderOrder } from './provider-server.ts';

const SERVER = fileURLToPath(new URL('./provider-server.ts', import.meta.url));
export const CLIENT_ID = 'sallyport';
export const CLIENT_SECRET = 'a secret of the client';

/** A real OpenID provider (oidc-provider) in a process of its own, with TLS. */
export class RealProvider {
  readonly issuer: string;
  readonly ca: string;
  /** File of the CA. */
  readonly caFile: string;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(issuer: string, of: { caFile: string; folder: string; child: ChildProcess }) {
    this.issuer = issuer;
    this.caFile = of.caFile;
    this.ca = readFileSync(of.caFile, 'utf8');
    this.#folder = of.folder;
    this.#child = of.child;
  }

  /** `logoutUri` is told of logouts; `trust` is the CA of that. */
  static async start(of: { redirects: readonly string[]; logoutUri: string; trust: string }): Promise<RealProvider> {
    const folder = scratchFolder();
    const files = createTls(join(folder, 'tls'), ['127.0.0.1'], undefined);
    const port = await freePort();
    const issuer = `https://127.0.0.1:${port}`;
    const { certificate, key } = files;
    const client = { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET };
    const options: ProviderOptions = {
      issuer,
      port,
      tls: { certificate, key },
      ...client,
      redirects: of.redirects,
      logoutUri: of.logoutUri,
    };
    const child = fork(SERVER, [JSON.stringify(options)], {
      silent: true,
      env: { ...process.env, NODE_EXTRA_CA_CERTS: of.trust },
    });
    let said = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (data) => {
        said += data;
      });
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`the provider ended with ${code}: ${said}`)));
    });
    return new RealProvider(issuer, { caFile: files.ca, folder, child });
  }

  /** Where the browser ends its session there. */
  get endSession(): string {
    return `${this.issuer}/session/end`;
  }

  /** New signing keys, at once. */
  rotate(): Promise<void> {
    return this.#order({ type: 'rotate' });
  }

  /** Cuts every connection, or answers again. */
  fail(failing: boolean): Promise<void> {
    return this.#order({ type: 'fail', failing });
  }

  async #order(order: ProviderOrder): Promise<void> {
    const done = new Promise((resolve) => this.#child.once('message', resolve));
    this.#child.send(order);
    await done;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill();
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
