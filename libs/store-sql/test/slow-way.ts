import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { DatabaseAddress, DatabaseHost } from '../src/index.ts';

/** A way to a database on which every connection takes its time to be taken. */
export interface SlowWay {
  readonly host: DatabaseHost;
  /** How long it takes from now on, ms; those that stand are cut. */
  slow(delayMs: number): void;
  /** Nobody listens any more, and those that stand are cut. */
  close(): void;
}

/** Opens one to a database of this machine; closed with the test. */
export async function slowWay({ host, port }: DatabaseAddress, initialMs: number): Promise<SlowWay> {
  let delayMs = initialMs;
  const ends = new Set<Socket>();
  const way = createServer((near) => {
    ends.add(near);
    near.on('error', () => undefined).on('close', () => ends.delete(near));
    const timer = setTimeout(() => {
      const far = connect(`${host}/.s.PGSQL.${port}`);
      far.on('error', () => near.destroy());
      near.on('close', () => far.destroy());
      near.pipe(far).pipe(near);
    }, delayMs);
    near.on('close', () => clearTimeout(timer));
  });
  await new Promise<void>((resolve) => way.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const near of ends) near.destroy();
  };
  const close = (): void => {
    way.close();
    cut();
  };
  onTestFinished(close);
  return {
    host: { host: '127.0.0.1', port: (way.address() as AddressInfo).port },
    slow: (ms) => {
      delayMs = ms;
      cut();
    },
    close,
  };
}
