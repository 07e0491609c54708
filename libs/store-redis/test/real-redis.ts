import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, isListening, waitFor } from '@sallyport/support';

/** A real Redis of Debian, for one test file. */
export class RealRedis {
  readonly port: number;
  readonly #folder: string;
  readonly #args: readonly string[];
  #child: ChildProcess;

  private constructor(port: number, folder: string, args: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#args = args;
    this.#child = this.#spawn();
  }

  static async start({ cluster = false }: { cluster?: boolean } = {}): Promise<RealRedis> {
    const port = await freePort();
    const folder = mkdtempSync('/tmp/sallyport-redis-');
    const mode = cluster
      ? ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-port', String(await freePort())]
      : [];
    const kept = ['--dir', folder, '--save', '', '--appendonly', 'no'];
    const redis = new RealRedis(port, folder, ['--bind', '127.0.0.1', '--port', String(port), ...kept, ...mode]);
    await redis.#accepting();
    return redis;
  }

  /** A Sentinel that watches a primary under the name `main`. */
  static async startSentinel(primaryPort: number): Promise<RealRedis> {
    const port = await freePort();
    const folder = mkdtempSync('/tmp/sallyport-redis-');
    const file = join(folder, 'sentinel.conf');
    writeFileSync(file, `bind 127.0.0.1\nport ${port}\nsentinel monitor main 127.0.0.1 ${primaryPort} 1\n`);
    const sentinel = new RealRedis(port, folder, [file, '--sentinel']);
    await sentinel.#accepting();
    return sentinel;
  }

  /** Sends a command as text. */
  async command(...words: string[]): Promise<string> {
    const socket = connect(this.port, '127.0.0.1');
    socket.write(`${words.join(' ')}\r\n`);
    const [answer] = (await new Promise<Buffer[]>((resolve) => socket.once('data', (data) => resolve([data])))) as [
      Buffer,
    ];
    socket.destroy();
    return String(answer);
  }

  /** As a Cluster of one: it owns all slots. */
  async ownAllSlots(): Promise<void> {
    await this.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    while (!(await this.command('CLUSTER', 'INFO')).includes('cluster_state:ok')) await sleep(20);
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Starts it again, empty. */
  async restart(): Promise<void> {
    this.#child = this.#spawn();
    await this.#accepting();
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #spawn(): ChildProcess {
    return spawn('redis-server', this.#args, { stdio: 'ignore', cwd: join(this.#folder) });
  }

  #accepting(): Promise<void> {
    return waitFor(() => isListening(this.port), 'Redis (apt-get install redis-server)');
  }
}
