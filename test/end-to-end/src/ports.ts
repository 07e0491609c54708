import { createServer } from 'node:net';

/** Ports below the ephemeral range, so that no outgoing connection takes one between two starts of a server. */
const FIRST = 20_000;
const COUNT = 10_000;
let next = FIRST + ((process.pid * 37) % COUNT);

/** A port on which nothing listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    next = FIRST + ((next + 1 - FIRST) % COUNT);
    if (await isFree(next)) return next;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
