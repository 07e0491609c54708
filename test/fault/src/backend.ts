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

/** A backend that remembers every request: how often each ran, and when those of a device and of a session came. */
export class Backend {
  readonly url: string;
  readonly #server: Server;
  readonly #runs = new Map<string, number>();
  readonly #times = new Map<string, number[]>();

  private constructor(server: Server, runs: Map<string, number>, times: Map<string, number[]>) {
    this.#server = server;
    this.#runs = runs;
    this.#times = times;
    this.url = `http://${DRIVER_ADDRESS}:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<Backend> {
    const runs = new Map<string, number>();
    const times = new Map<string, number[]>();
    const note = (who: string, now: number): void => {
      const known = times.get(who);
      if (known) known.push(now);
      else times.set(who, [now]);
    };
    const server = createServer((request, response) => {
      const [, who = '', id = ''] = (request.url ?? '').split('/');
      const now = performance.now();
      note(who, now);
      note(sessionOf(String(request.headers['sallyport-assertion'] ?? '')), now);
      runs.set(id, (runs.get(id) ?? 0) + 1);
      request.resume();
      response.end(who === 'bytes' ? Buffer.alloc(Number(id)) : id);
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, DRIVER_ADDRESS, 4_096, resolve));
    return new Backend(server, runs, times);
  }

  /** How often a request ran. */
  runsOf(id: string): number {
    return this.#runs.get(id) ?? 0;
  }

  /** When the last request of a device or of a session came, on the clock of this process; undefined when none did. */
  lastRequestAt(who: string): number | undefined {
    return this.#times.get(who)?.at(-1);
  }

  /** When requests of a device or of a session came after a moment of that clock. */
  requestsAfter(who: string, at: number): readonly number[] {
    return (this.#times.get(who) ?? []).filter((time) => time > at);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
