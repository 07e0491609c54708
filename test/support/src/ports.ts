import { createServer } from 'node:net';

/**
 * Ports below the ephemeral range, so that no outgoing connection takes one between two starts of a server. Each worker of
 * vitest draws from a slice of its own: files that run at the same time never meet.
 */
const FIRST = 20_000;
const SLICE = 1_500;
const SLICES = 8;

const first = FIRST + (Number(process.env['VITEST_POOL_ID'] ?? 0) % SLICES) * SLICE;
/** Two runs on one machine begin at different places. */
let drawn = (process.pid * 37) % SLICE;

/** A port on which nothing listens. */
export function freePort(): Promise<number> {
  return freePorts(1);
}

/** The first of so many ports in a row on which nothing listens. @throws Error when there are none */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < SLICE; tries++) {
    if (drawn + count > SLICE) drawn = 0;
    const from = first + drawn;
    drawn += count;
    if (await areFree(from, count)) return from;
  }
  throw new Error(`there are no ${count} free ports in a row from ${first} to ${first + SLICE - 1}`);
}

async function areFree(from: number, count: number): Promise<boolean> {
  for (let port = from; port < from + count; port++) if (!(await isFree(port))) return false;
  return true;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
