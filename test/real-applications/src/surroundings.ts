import { type ChildProcess, fork } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Application, Programs, Started, Way } from './application.ts';
import { type Running, sallyport, startSallyport, waitFor } from './command.ts';

const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));
const FIRST_PORT = 30_000;
/** Below the ephemeral ports, above those that other tests take. */
const BASE_PORT = 32_000;
const PHONE = { width: 375, height: 812 };
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

interface UpReady {
  readonly link: string;
  readonly user: string;
  readonly password: string;
}

/** What `npm start` starts, with one device for this machine and one for the phone page, and applications behind it. */
export class Surroundings {
  readonly folder: string;
  readonly #programs: Programs;
  readonly #started: Started[] = [];
  #up: ChildProcess | undefined;
  #ready: UpReady | undefined;
  #forward: Running | undefined;
  #ports = { forward: 0, next: FIRST_PORT + (process.pid % 1_000) };
  readonly #tcpPorts = new Map<string, number>();
  #browser: Browser | undefined;
  #laptop: BrowserContext | undefined;
  #phone: Page | undefined;

  constructor(programs: Programs) {
    this.#programs = programs;
    this.folder = mkdtempSync('/tmp/sallyport-applications-');
    // As root the database runs as a user of its own, who must get through here.
    chmodSync(this.folder, 0o755);
  }

  get #data(): string {
    return join(this.folder, 'data');
  }

  /** Runs what `npm start` runs, and puts applications behind it by an operator's commands. */
  async start(applications: readonly Application[]): Promise<void> {
    this.#ready = await this.#startUp();
    for (const application of applications) await this.#add(application);
    await this.#startForward(applications);
  }

  /** The way of one client to one application. */
  async way(application: Application, client: string): Promise<Way> {
    const authority = authorityOf(application);
    const folder = join(this.folder, `${application.name}-${client.replaceAll(/\W+/g, '-')}`);
    mkdirSync(folder, { recursive: true });
    return {
      authority,
      host: authority.split(':')[0]!,
      proxy: `127.0.0.1:${this.#ports.forward}`,
      tcpPort: this.#tcpPorts.get(application.name) ?? 0,
      served: this.#served(application),
      folder,
      programs: this.#programs,
      laptop: () => this.#laptopPage(),
      phone: () => this.#phonePage(application),
    };
  }

  /** A picture of what the phone page shows. */
  async picture(file: string): Promise<void> {
    await this.#phone?.screenshot({ path: file });
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    await this.#forward?.end();
    for (const started of this.#started) await started.stop();
    if (this.#up && this.#up.exitCode === null) {
      const ended = new Promise((resolve) => this.#up!.once('exit', resolve));
      this.#up.kill('SIGINT');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async freePort(): Promise<number> {
    for (;;) {
      this.#ports.next += 1;
      if (await isFree(this.#ports.next)) return this.#ports.next;
    }
  }

  async #startUp(): Promise<UpReady> {
    const base = BASE_PORT + (process.pid % 8) * 60;
    const child = fork(CLI, ['--data', this.#data, 'up', '--base-port', String(base)], { silent: true });
    this.#up = child;
    let output = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (data) => {
        output += data;
      });
    return new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as UpReady));
      child.once('exit', (code) => reject(new Error(`"up" ended with ${code}: ${output.slice(-800)}`)));
    });
  }

  async #add(application: Application): Promise<void> {
    const folder = this.#served(application);
    mkdirSync(folder, { recursive: true });
    const place = { folder, programs: this.#programs, freePort: () => this.freePort() };
    const started = await application.start(place);
    this.#started.push(started);
    const { name, title, options = [], policy = [] } = application;
    const resource = ['--authority', authorityOf(application), '--backend', started.backend, '--title', title];
    const where = ['--network', '127.0.0.0/8', ...options, ...(started.options ?? [])];
    await sallyport(this.#data, ['resource', 'add', name, ...resource, ...where, '--reason', 'try it']);
    const rule = ['--group', 'staff', '--resource', name, ...policy];
    await sallyport(this.#data, ['policy', 'add', `open-${name}`, ...rule, '--reason', 'try it']);
  }

  #served({ name }: Application): string {
    return join(this.folder, name);
  }

  async #startForward(applications: readonly Application[]): Promise<void> {
    const { user, password } = this.#ready!;
    const link = /https?:\S+enroll#\S+/.exec(await sallyport(this.#data, ['code', 'new', user, '--reason', 'laptop']));
    const enroll = ['device', 'enroll', link![0], '--user', user, '--password-stdin'];
    await sallyport(this.#data, enroll, password);
    this.#ports.forward = await this.freePort();
    const tcp: string[] = [];
    for (const application of applications) {
      const authority = authorityOf(application);
      if (!authority.includes(':')) continue;
      const port = await this.freePort();
      this.#tcpPorts.set(application.name, port);
      tcp.push('--tcp', `${port}=${authority}`);
    }
    const ports = ['--port', String(this.#ports.forward)];
    this.#forward = await startSallyport(this.#data, ['device', 'forward', ...ports, ...tcp], /try: curl/);
  }

  async #chromium(): Promise<Browser> {
    const args = FLAGS.map((flag) => `--${flag}`);
    this.#browser ??= await chromium.launch({ executablePath: '/usr/bin/chromium', args });
    return this.#browser;
  }

  async #laptopPage(): Promise<Page> {
    const browser = await this.#chromium();
    // That the CA can be trusted is shown by a test of its own; here every name is the forward proxy's.
    this.#laptop ??= await browser.newContext({
      proxy: { server: `http://127.0.0.1:${this.#ports.forward}` },
      ignoreHTTPSErrors: true,
    });
    return this.#laptop.newPage();
  }

  async #phonePage(application: Application): ReturnType<Way['phone']> {
    const page = await this.#signedIn();
    await page.getByRole('link', { name: application.title }).first().click();
    return { page, app: page.frameLocator('#page') };
  }

  async #signedIn(): Promise<Page> {
    if (this.#phone) {
      await this.#phone.goto(new URL('/', this.#ready!.link).href);
      return this.#phone;
    }
    const browser = await this.#chromium();
    const context = await browser.newContext({ viewport: PHONE, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
    const page = await context.newPage();
    await page.goto(this.#ready!.link);
    await page.fill('#user', this.#ready!.user);
    await page.fill('#password', this.#ready!.password);
    await page.click('button[type=submit]');
    await waitFor(async () => (await page.textContent('#state')) === 'connected', 'the phone page');
    this.#phone = page;
    return page;
  }
}

function authorityOf({ name, authority }: Application): string {
  return authority ?? `${name}.corp`;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
