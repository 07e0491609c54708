import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DRIVER_ADDRESS } from '@sallyport/support';

const sessions = new Map<string, string>();

/** The session that a request belongs to, as the Proxy's assertion says. */
function sessionOf(assertion: string): string {
  const known = sessions.get(assertion);
  if (known !== undefined) return known;
  const [, payload = ''] = assertion.split('.');
  const { sid } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sid: string };
  sessions.set(assertion, sid);
  return sid;
}

/** A backend that remembers every request: how often each ran, and when the last one of a device and of a session came. */
export class Backend {
  readonly url: string;
  readonly #server: Server;
  readonly #runs = new Map<string, number>();
  readonly #lastAt = new Map<string, number>();

  private constructor(server: Server, runs: Map<string, number>, lastAt: Map<string, number>) {
    this.#server = server;
    this.#runs = runs;
    this.#lastAt = lastAt;
    this.url = `http://${DRIVER_ADDRESS}:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<Backend> {
    const runs = new Map<string, number>();
    const lastAt = new Map<string, number>();
    const server = createServer((request, response) => {
      const [, who = '', id = ''] = (request.url ?? '').split('/');
      const now = performance.now();
      lastAt.set(who, now);
      lastAt.set(sessionOf(String(request.headers['sallyport-assertion'] ?? '')), now);
      runs.set(id, (runs.get(id) ?? 0) + 1);
      request.resume();
      response.end(who === 'bytes' ? Buffer.alloc(Number(id)) : id);
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, DRIVER_ADDRESS, 4_096, resolve));
    return new Backend(server, runs, lastAt);
  }

  /** How often a request ran. */
  runsOf(id: string): number {
    return this.#runs.get(id) ?? 0;
  }

  /** When the last request of a device or of a session came, on the clock of this process; undefined when none did. */
  lastRequestAt(who: string): number | undefined {
    return this.#lastAt.get(who);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
