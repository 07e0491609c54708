import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  freeBasePort,
  freePort,
  launchChromium,
  PAGE_WITHIN_MS,
  type Running,
  type StartedAll,
  startAll,
  startSallyport,
  waitFor,
} from '@sallyport/support';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { Application, Programs, Started, Way } from './application.ts';
import { sallyport } from './command.ts';

const PHONE = { width: 375, height: 812 };

/** What `npm start` starts, with one device for this machine and one for the phone page, and applications behind it. */
export class Surroundings {
  readonly folder: string;
  readonly #programs: Programs;
  readonly #started: Started[] = [];
  #up: StartedAll | undefined;
  #forward: Running | undefined;
  #forwardPort = 0;
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
    this.#up = await startAll(this.#data, await freeBasePort());
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
      proxy: `127.0.0.1:${this.#forwardPort}`,
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
    await this.#up?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #add(application: Application): Promise<void> {
    const folder = this.#served(application);
    mkdirSync(folder, { recursive: true });
    const place = { folder, programs: this.#programs, freePort };
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
    const { user, password } = this.#up!;
    const link = /https?:\S+enroll#\S+/.exec(await sallyport(this.#data, ['code', 'new', user, '--reason', 'laptop']));
    const enroll = ['device', 'enroll', link![0], '--user', user, '--password-stdin'];
    await sallyport(this.#data, enroll, password);
    this.#forwardPort = await freePort();
    const tcp: string[] = [];
    for (const application of applications) {
      const authority = authorityOf(application);
      if (!authority.includes(':')) continue;
      const port = await freePort();
      this.#tcpPorts.set(application.name, port);
      tcp.push('--tcp', `${port}=${authority}`);
    }
    const ports = ['--port', String(this.#forwardPort)];
    this.#forward = await startSallyport(['--data', this.#data, 'device', 'forward', ...ports, ...tcp], /try: curl/);
  }

  async #chromium(): Promise<Browser> {
    this.#browser ??= await launchChromium();
    return this.#browser;
  }

  async #laptopPage(): Promise<Page> {
    const browser = await this.#chromium();
    // That the CA can be trusted is shown by a test of its own; here every name is the forward proxy's.
    this.#laptop ??= await browser.newContext({
      proxy: { server: `http://127.0.0.1:${this.#forwardPort}` },
      ignoreHTTPSErrors: true,
    });
    this.#laptop.setDefaultTimeout(PAGE_WITHIN_MS);
    return this.#laptop.newPage();
  }

  async #phonePage(application: Application): ReturnType<Way['phone']> {
    const page = await this.#signedIn();
    await page.getByRole('link', { name: application.title }).first().click();
    return { page, app: page.frameLocator('#page') };
  }

  async #signedIn(): Promise<Page> {
    if (this.#phone) {
      await this.#phone.goto(new URL('/', this.#up!.link).href);
      return this.#phone;
    }
    const browser = await this.#chromium();
    const context = await browser.newContext({ viewport: PHONE, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
    context.setDefaultTimeout(PAGE_WITHIN_MS);
    const page = await context.newPage();
    await page.goto(this.#up!.link);
    await page.fill('#user', this.#up!.user);
    await page.fill('#password', this.#up!.password);
    await page.click('button[type=submit]');
    await waitFor(async () => (await page.textContent('#state')) === 'connected', 'the phone page');
    this.#phone = page;
    return page;
  }
}

function authorityOf({ name, authority }: Application): string {
  return authority ?? `${name}.corp`;
}
