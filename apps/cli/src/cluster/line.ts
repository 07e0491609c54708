import { TcpFaultProxy } from '@sallyport/local-cluster';
import { nodeEnvironment } from '@sallyport/settings';
import { CliError } from '../output.ts';
import { ACROSS, MAIN_NAME } from './places.ts';

/** The line between the two sites: there and back, ms, and each way, Mbit/s. */
export const LINE = { delayMs: 80, mbit: 10 } as const;
const HOME = '127.0.0.1';

/**
 * A slow line between two sites on one machine: what listens at a port of 127.0.0.1, servers of the other site reach at the same port of
 * `ACROSS`, and by it. To stop at the end.
 */
export class SlowLine {
  readonly #relays: TcpFaultProxy[] = [];

  /** Lets a port be reached over the line. @throws CliError when something listens there already */
  async reach(port: number): Promise<void> {
    const relay = await TcpFaultProxy.start({ host: HOME, port }, { host: ACROSS, port }).catch((error: Error) => {
      throw new CliError(`the slow line cannot be played: ${error.message}`);
    });
    Object.assign(relay.faults, { latencyMs: LINE.delayMs / 2, bytesPerMs: (LINE.mbit * 1_000) / 8 });
    this.#relays.push(relay);
  }

  close(): void {
    for (const relay of this.#relays) relay.close();
  }
}

/** URL of a port of the main site, under which both sites reach it, each in its way. */
export function mainUrl(port: number): string {
  return `https://${MAIN_NAME}:${port}`;
}

/** URL of a port of the branch, for servers of the main site. */
export function acrossUrl(port: number): string {
  return `http://${ACROSS}:${port}`;
}

/** What lets a server be one of the branch: names mean there what they mean in a branch. */
export function inBranch(): { readonly NODE_OPTIONS: string } {
  const first = `--import=${new URL('as-branch.ts', import.meta.url).href}`;
  return { NODE_OPTIONS: [nodeEnvironment().NODE_OPTIONS, first].filter(Boolean).join(' ') };
}
