import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { AppProcess } from '@sallyport/local-cluster';
import { CLI, type CommandResult, freePort, runCommand, scratchFolder } from '@sallyport/support';

const SERVICES = { 'sallyport-security': 'security', 'sallyport-proxy': 'proxy' } as const;
type Service = keyof typeof SERVICES;
/** What the runbook says for some moment: here it is this one. */
const A_MOMENT = '2026-11-26T14:05:00Z';

/**
 * A small installation as a runbook speaks of it: Security and a Proxy as services, an operator's shell. Folders that the runbook
 * names are folders of a scratch one, `systemctl` and `journalctl` are stand-ins for its services; `sallyport` is what it is.
 */
export class Night {
  readonly folder: string = scratchFolder();
  /** On another disk than the rest: what burns with the database is no backup, and `status` says so. */
  readonly #elsewhere: string = mkdtempSync('/dev/shm/sallyport-test-');
  readonly #running = new Map<Service, AppProcess>();
  readonly #logs = new Map<Service, string>();
  readonly #server: Server = createServer();

  private constructor() {}

  static async begin(): Promise<Night> {
    const night = new Night();
    symlinkSync(night.#elsewhere, night.path('/mnt'));
    for (const folder of ['bin', 'desk', 'etc/sallyport', 'var/lib', 'mnt/safe', 'mnt/backup'])
      mkdirSync(join(night.folder, folder), { recursive: true });
    await night.#offerServices();
    const admin = `127.0.0.1:${await freePort()}`;
    night.configure('security', {
      SALLYPORT_DATA: night.path('/var/lib/sallyport'),
      SALLYPORT_PROXY_LISTEN: `127.0.0.1:${await freePort()}`,
      SALLYPORT_ADMIN_LISTEN: admin,
      SALLYPORT_ADMIN_URL: `https://${admin}`,
      SALLYPORT_LEASE_MS: '2000',
      SALLYPORT_NODE: 'new',
      SALLYPORT_JOURNAL: `file:${night.path('/mnt/journal')}`,
      SALLYPORT_BACKUP_TARGETS: `file:${night.path('/mnt/backup')}`,
      SALLYPORT_BACKUP_RECIPIENTS: night.path('/etc/sallyport/backup-recipient'),
    });
    return night;
  }

  /** Where a path of the runbook is. */
  path(name: string): string {
    return join(this.folder, name);
  }

  /** Adds to the settings of a service, as they stand in its file. */
  configure(name: 'security' | 'proxy', settings: Readonly<Record<string, string>>): void {
    const all = { ...this.settings(name), ...settings };
    const lines = Object.entries(all).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(this.path(`/etc/sallyport/${name}.env`), lines.join(''));
  }

  settings(name: 'security' | 'proxy'): Record<string, string> {
    try {
      const text = readFileSync(this.path(`/etc/sallyport/${name}.env`), 'utf8');
      return Object.fromEntries(
        text
          .trim()
          .split('\n')
          .map((line) => line.split(/=(.*)/s).slice(0, 2)),
      );
    } catch {
      return {};
    }
  }

  /** What a server that runs has said when it was ready. */
  ready(name: Service): Readonly<Record<string, string>> {
    return this.#running.get(name)!.ready;
  }

  /** Starts a service; one that refuses leaves its reason in its log, as with systemd. */
  async start(name: Service): Promise<void> {
    await this.stop(name);
    const app = SERVICES[name];
    try {
      const environment = this.settings(app);
      const process = await AppProcess.start(app, { environment });
      this.#running.set(name, process);
      // A service leaves it in a file; to who starts it with a channel, as here, it says it there.
      const { oneTimeToken } = process.ready;
      const file = join(environment['SALLYPORT_DATA']!, 'first-operator-token');
      if (oneTimeToken !== undefined) writeFileSync(file, oneTimeToken, { mode: 0o600 });
    } catch (error) {
      this.#logs.set(name, String(error));
    }
  }

  async stop(name: Service): Promise<void> {
    const running = this.#running.get(name);
    await running?.end();
    if (running) this.#logs.set(name, running.log);
    this.#running.delete(name);
  }

  /** A service ends as with its machine. */
  kill(name: Service): void {
    this.#running.get(name)?.kill('SIGKILL');
  }

  /** All that a service has said since its last start. */
  log(name: Service): string {
    return this.#running.get(name)?.log ?? this.#logs.get(name) ?? '';
  }

  /** Runs commands of the runbook as they stand there, in one shell; what they printed names the runbook's folders. */
  async type(commands: readonly string[]): Promise<CommandResult> {
    const script = commands
      .join('\n')
      .replaceAll(A_MOMENT, new Date().toISOString())
      .replaceAll(/(?<![\w/])\/(?:etc\/sallyport|var\/lib\/sallyport|mnt)/g, (path) => this.path(path));
    const environment = { PATH: `${this.path('/bin')}:${process.env['PATH']}` };
    const settings = `set -e; set -a; [ ! -f "${this.path('/etc/sallyport/security.env')}" ] || . "${this.path('/etc/sallyport/security.env')}"; set +a\n`;
    const result = await runCommand('bash', ['-c', settings + script], { cwd: this.path('/desk'), environment });
    const named = (text: string): string => text.replaceAll(this.folder, '');
    return { ...result, stdout: named(result.stdout), stderr: named(result.stderr) };
  }

  async end(): Promise<void> {
    for (const name of this.#running.keys()) await this.stop(name);
    this.#server.close();
    for (const folder of [this.folder, this.#elsewhere]) rmSync(folder, { recursive: true, force: true });
  }

  async #offerServices(): Promise<void> {
    this.#server.on('request', (request, response) => {
      const [, verb = '', name = ''] = (request.url ?? '').split('/');
      void this.#order(verb, name as Service).then((text) => response.end(text));
    });
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const { port } = this.#server.address() as AddressInfo;
    const ask = (path: string): string => `exec curl -sS --fail "http://127.0.0.1:${port}/${path}"`;
    this.#program('sallyport', `exec ${process.execPath} ${CLI} "$@"`);
    this.#program('systemctl', ask('$1/$2'));
    this.#program('journalctl', ask('log/$2'));
  }

  #program(name: string, script: string): void {
    writeFileSync(this.path(`/bin/${name}`), `#!/bin/sh\n${script}\n`);
    chmodSync(this.path(`/bin/${name}`), 0o755);
  }

  async #order(verb: string, name: Service): Promise<string> {
    if (!(name in SERVICES)) throw new Error(`there is no service ${name}`);
    if (verb === 'log') return this.log(name);
    if (verb === 'stop') await this.stop(name);
    if (verb === 'start' || verb === 'restart') await this.start(name);
    return '';
  }
}
